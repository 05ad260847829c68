"""Sampling points of one deformable convolution: fields over a tile, and points of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network import SamplingPoints

Array = NDArray[np.float32]

#: Places (y, x) of the nine taps in the 3 x 3 kernel, in pixels of the feature map.
KERNEL = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), -1).reshape(9, 2)


@dataclass(frozen=True)
class TapPoints:
    """What one deformable convolution samples for one pixel.

    Attributes
    ----------
    y, x : ndarray (groups, 9)
        Sampling points in pixels of the slice.
    dy, dx : ndarray (groups, 9)
        Learnt offsets, in pixels of the slice.
    mask : ndarray (groups, 9)
        Modulation, 0 to 1.
    """

    y: Array
    x: Array
    dy: Array
    dx: Array
    mask: Array


@dataclass(frozen=True)
class QueryPoints:
    """All that is sampled for one pixel of a computed slice.

    Attributes
    ----------
    y, x : float
        Centre of the feature pixel that the query lies in, in pixels of the slice.
    rsab : tuple of TapPoints
        Steps 1, 2, 3: one group, sampled in the interpolated features.
    temporal : dict
        (side, level) -> points in slice 0 or 2; level 1 is full resolution.
    drb : dict
        (block, side) -> points in slice 0 or 2.
    """

    y: float
    x: float
    rsab: tuple[TapPoints, ...]
    temporal: dict[tuple[int, int], TapPoints]
    drb: dict[tuple[int, int], TapPoints]


@dataclass(frozen=True)
class Field:
    """Offsets and masks of one deformable convolution over a tile.

    Attributes
    ----------
    offset : ndarray (groups, 9, 2, H, W)
        (dy, dx) in pixels of the feature map.
    mask : ndarray (groups, 9, H, W)
    stride : int
        Pixels of the slice in one of the feature map.
    y0, x0 : float
        Centre of the field's first pixel, in pixels of the slice.
    """

    offset: Array
    mask: Array
    stride: int
    y0: float
    x0: float

    def index(self, y: float, x: float) -> tuple[int, int]:
        """The pixel of the field nearest to a place in the slice."""
        h, w = self.mask.shape[-2:]
        i = round((y - self.y0) / self.stride)
        j = round((x - self.x0) / self.stride)
        return min(max(i, 0), h - 1), min(max(j, 0), w - 1)

    def points(self, y: float, x: float) -> TapPoints:
        """What is sampled for the pixel of the field nearest to (y, x) in the slice."""
        i, j = self.index(y, x)
        offset = self.offset[..., i, j]  # groups x 9 x 2
        places = (KERNEL + offset) * self.stride
        places = places + (self.y0 + i * self.stride, self.x0 + j * self.stride)
        moved = offset * self.stride
        return TapPoints(
            places[..., 0], places[..., 1], moved[..., 0], moved[..., 1], self.mask[..., i, j]
        )


def field_of(points: SamplingPoints, y0: int, x0: int, unshuffle: int) -> Field:
    """Field of a recorded convolution on a tile whose first pixel is (y0, x0) of the slice.

    A pixel of the first feature level is `unshuffle` pixels of the slice wide. Convolutions of
    stride 2 keep the first pixel's centre where it was.
    """
    centre = (unshuffle - 1) / 2

    def to_numpy(tensor: Any) -> Array:
        array: Array = tensor[0].detach().float().cpu().numpy()
        return array

    return Field(
        to_numpy(points.offset), to_numpy(points.mask), points.stride, y0 + centre, x0 + centre
    )
