"""Watching the sampling offsets: they can explode, the known failure of deformable networks.

Short of that they can grow over a long run, since few points far away cost the loss nothing. Tiles
then need halos as wide, so `reach_penalty` holds them back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..network import Sampling, SamplingPoints

#: Mean |offset| in pixels of the feature map above which a warning is given, and training stops.
WARN_ABOVE = 25.0
STOP_ABOVE = 100.0


@dataclass(frozen=True)
class OffsetStatistics:
    """Mean and largest |offset| of one deformable convolution, in pixels of its feature map."""

    where: str
    mean: float
    largest: float

    @property
    def suspicious(self) -> bool:
        """Larger than motion between slices explains."""
        return not self.mean <= WARN_ABOVE

    @property
    def exploded(self) -> bool:
        """So large, or not finite, that training must go back."""
        return not self.mean <= STOP_ABOVE


def offset_statistics(sampling: Sampling) -> list[OffsetStatistics]:
    """Statistics of every deformable convolution of a forward pass, in the network's order."""
    result = []
    for where, points in _places(sampling):
        magnitude = points.offset.detach().abs()
        result.append(OffsetStatistics(where, float(magnitude.mean()), float(torch.max(magnitude))))
    return result


def reach_penalty(sampling: Sampling, free: float) -> Tensor:
    """By how many pixels of the image offsets exceed `free` in y or x, a scalar.

    The mean over the points of each deformable convolution, summed over these.
    """
    excess = [
        torch.relu(points.offset.abs() * points.stride - free).mean()
        for _, points in _places(sampling)
    ]
    return torch.stack(excess).sum()


def _places(sampling: Sampling) -> list[tuple[str, SamplingPoints]]:
    return [
        *((f"temporal{side}.level{level}", p) for (side, level), p in sampling.temporal.items()),
        *((f"rsab{i + 1}", p) for i, p in enumerate(sampling.rsab)),
        *((f"drb{block + 1}.side{side}", p) for (block, side), p in sampling.drb.items()),
    ]


def worst(statistics: list[OffsetStatistics]) -> OffsetStatistics:
    """The one with the largest mean; one that is not finite comes first."""
    return max(statistics, key=lambda s: s.mean if s.mean == s.mean else float("inf"))
