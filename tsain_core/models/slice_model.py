"""What every interpolation method looks like from outside, be it a network or a mean."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]  # (y, x)
T = TypeVar("T")


@dataclass(frozen=True)
class TileDone:
    """A pass over a tile of the slice being computed is finished: progress, a place to stop."""

    done: int
    total: int


class SliceModel(Protocol):
    """A method that computes a slice between two slices."""

    @property
    def name(self) -> str:
        """As shown in lists and written into results."""

    @property
    def any_position(self) -> bool:
        """Whether fractions other than 1/2 are computed directly."""

    @property
    def percentiles(self) -> tuple[float, float]:
        """Percentiles of a volume's grey values to be scaled to 0 and 1."""

    @property
    def detail(self) -> float:
        """Share of the real slices' fine detail that computed ones get; see `add_detail`."""

    def between(
        self, before: Image, after: Image, fraction: Fraction = Fraction(1, 2)
    ) -> Generator[TileDone, None, Image]:
        """Compute the slice at `fraction` of the way; yields after each tile, returns the image.

        Images are (y, x), float32, grey values scaled by the volume's IntensityRange. Passing the
        same array object for a slice of two pairs lets a model reuse what it knows of it.
        """

    def provenance(self) -> dict[str, object]:
        """What a result must say about how it was made."""


def run_to_end(work: Generator[TileDone, None, T]) -> T:
    """What `SliceModel.between` returns in the end, for callers that show no progress."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: T = stop.value
            return result
