"""Where the deformable convolutions of a forward pass sampled."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class SamplingPoints:
    """Where one deformable convolution sampled.

    Attributes
    ----------
    offset : Tensor, (N, groups, 9, 2, H, W)
        (dy, dx) of each tap in pixels of the feature map, on top of the tap's own place in the
        3 x 3 kernel. One pixel of the feature map is `stride` pixels of the image.
    mask : Tensor, (N, groups, 9, H, W)
        Modulation, 0 to 1.
    stride : int
        Pixels of the image in one pixel of the feature map, along y and x.
    """

    offset: Tensor
    mask: Tensor
    stride: int


@dataclass
class Sampling:
    """The sampling points of a forward pass.

    Attributes
    ----------
    temporal : dict
        (side, level) -> points; side 0 samples slice 0, side 2 slice 2; level 1 is full resolution.
    rsab : list
        Steps 1, 2, 3 in order; one offset group, sampled in the interpolated features.
    drb : dict
        (block, side) -> points in the features of that side's slice.
    """

    temporal: dict[tuple[int, int], SamplingPoints] = field(default_factory=dict)
    rsab: list[SamplingPoints] = field(default_factory=list)
    drb: dict[tuple[int, int], SamplingPoints] = field(default_factory=dict)
