"""Holding the offsets of the temporal towers near optical flow, in training alone.

Towers that start with offsets of zero find no way to larger ones by themselves: a step of a pixel
gains nothing where what belongs together lies six pixels apart. The offset-fidelity loss (Chan et
al., AAAI 2021, "Understanding Deformable Alignment in Video Super-Resolution") shows the way: mean
offsets may stray from the flow only so far. The network itself stays as it is, and needs no flow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..inference.models.baselines import dis_flow
from ..network import Sampling
from ..system.records import Record


@dataclass(frozen=True)
class OffsetGuide(Record):
    """How strongly flow guides the offsets.

    Attributes
    ----------
    weight : float
        In the loss, of each pixel that a mean offset strays further than `free`; 0 does without.
    free : float
        Pixels of the image that a mean offset may stray from the flow at no cost.
    blur : float
        Deviation of a Gaussian under which the flow is found, in pixels.
    steps : int
        Over which the weight fades to nothing; 0 keeps it.
    """

    weight: float = 0.0
    free: float = 1.5
    blur: float = 1.5
    steps: int = 0

    def __post_init__(self) -> None:
        if min(self.weight, self.free, self.blur, self.steps) < 0:
            raise ValueError(
                f"a guide of offsets has a weight of {self.weight}, {self.free} free pixels, a "
                f"blur of {self.blur} and {self.steps} steps; nothing below 0 is possible"
            )

    def weight_at(self, step: int) -> float:
        """The weight at a step."""
        return self.weight * max(0.0, 1 - step / self.steps) if self.steps else self.weight


@dataclass(frozen=True)
class Guidance:
    """Where the towers should look.

    Attributes
    ----------
    towards : dict of int to Tensor, (N, 2, H, W)
        Side -> (dy, dx) from each pixel of the slice between to its place in that slice.
    known : Tensor, (N, 1, H, W)
        1 where the flows of both directions agree, else 0.
    """

    towards: dict[int, Tensor]
    known: Tensor


def guidance(before: Tensor, after: Tensor, at: Tensor, guide: OffsetGuide) -> Guidance:
    """Flow between slices (N, 1, H, W), shared out to both sides at the positions (N,).

    DIS optical flow (Kroeger et al. 2016), OpenCV's, of blurred slices.
    """
    from scipy.ndimage import gaussian_filter

    images = (
        gaussian_filter(s.detach().float().cpu().numpy()[:, 0], (0, guide.blur, guide.blur))
        for s in (before, after)
    )
    forward, backward, known = (
        torch.from_numpy(np.stack(fields)).to(before.device)
        for fields in zip(*map(_flows, *images), strict=True)
    )
    fraction = at.view(-1, 1, 1, 1).to(before.device)
    # each slice is fetched along the flow that leads from the other one to it, as the baseline does
    return Guidance({0: fraction * backward, 2: (1 - fraction) * forward}, known[:, None])


def _flows(
    before: NDArray[np.float32], after: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Flow there and back, (2, y, x) as (dy, dx), and where they agree within a pixel, (y, x)."""
    import cv2

    there, back = dis_flow(before, after, "MEDIUM"), dis_flow(after, before, "MEDIUM")
    y, x = np.mgrid[: before.shape[0], : before.shape[1]].astype(np.float32)
    returned = cv2.remap(back, x + there[..., 0], y + there[..., 1], cv2.INTER_LINEAR)
    known = np.hypot(*np.moveaxis(there + returned, -1, 0)) < 1
    yx = [np.ascontiguousarray(np.moveaxis(flow[..., ::-1], -1, 0)) for flow in (there, back)]
    return yx[0], yx[1], known.astype(np.float32)


def fidelity_loss(sampling: Sampling, guidance: Guidance, free: float) -> Tensor:
    """By how many pixels of the image mean offsets stray more than `free` from the flow, a scalar.

    Mean over the taps and groups of a tower's level, weighted by their masks; over pixels whose
    flow is known; summed over towers and levels.
    """
    strays = []
    for (side, _), points in sampling.temporal.items():
        mask = points.mask.detach()[:, :, :, None]
        mean = (points.offset * mask).sum((1, 2)) / (mask.sum((1, 2)) + 1e-6) * points.stride
        towards = F.avg_pool2d(guidance.towards[side], points.stride)
        known = F.avg_pool2d(guidance.known, points.stride)
        stray = ((mean - towards).square().sum(1, keepdim=True) + 1e-6).sqrt()
        excess = torch.relu(stray - free) * known
        strays.append(excess.sum() / (known.sum() + 1))
    return torch.stack(strays).sum()
