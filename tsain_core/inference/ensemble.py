"""Turned, mirrored and reversed views of a pair of slices, for averages over several passes.

A network knows nothing of the symmetries that tissue has: what it makes of a turned pair differs a
little from the turned result. The average is better than each (geometric self-ensemble, Lim et al.
2017, "Enhanced Deep Residual Networks for Single Image Super-Resolution").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .slice_model import Image


@dataclass(frozen=True)
class DihedralTransform:
    """Quarter turns of an image, mirrored afterwards."""

    quarters: int = 0
    mirrored: bool = False

    def apply(self, image: Image) -> Image:
        """The image (y, x), turned."""
        turned = np.rot90(image, self.quarters)
        return turned[:, ::-1] if self.mirrored else turned

    def undo(self, image: Image) -> Image:
        """Inverse of `apply`."""
        return np.rot90(image[:, ::-1] if self.mirrored else image, -self.quarters)


@dataclass(frozen=True)
class View:
    """How a pass sees a pair: both slices turned, and the second first if `reversed`."""

    turn: DihedralTransform = DihedralTransform()
    reversed: bool = False


# Neighbours in this list differ in turn and order, so that few passes see as much as possible.
_VIEWS = tuple(
    View(DihedralTransform(i % 4, i % 8 >= 4), (i + i // 4 + i // 8) % 2 == 1) for i in range(16)
)
#: How many passes an average may have.
ENSEMBLES = (1, 2, 4, 8, 16)


def views(count: int) -> tuple[View, ...]:
    """The views of an average over `count` passes; the first is the pair as it is."""
    return _VIEWS[:count]


def turns(count: int) -> int:
    """How many different turns they have: features are computed for each."""
    return len({view.turn for view in views(count)})
