"""Slices of which some pixels were computed: which ones, in few words."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..system.records import Record

#: (y0, x0, y1, x1), half-open, in voxels.
Box = tuple[int, int, int, int]
#: Boxes that a slice's computed pixels are described by, at most.
_MOST_BOXES = 16


@dataclass(frozen=True)
class PartlyComputed(Record):
    """The computed pixels of a slice that is real elsewhere.

    Attributes
    ----------
    boxes : tuple of (y0, x0, y1, x1)
        All computed pixels lie in these, at most 16 of them.
    pixels : int or None
        How many there are; None where that is not known, as in a crop.
    mask_digest : str
        Of the mask (CRC-32 of its bits, row by row); empty where it is not known.
    """

    boxes: tuple[Box, ...]
    pixels: int | None = None
    mask_digest: str = ""

    def cropped(self, y: tuple[int, int], x: tuple[int, int]) -> PartlyComputed | None:
        """What of it lies in rows `y` and columns `x`, counted from there; None if nothing does."""
        kept = []
        for y0, x0, y1, x1 in self.boxes:
            top, left = max(y0, y[0]) - y[0], max(x0, x[0]) - x[0]
            bottom, right = min(y1, y[1]) - y[0], min(x1, x[1]) - x[0]
            if top < bottom and left < right:
                kept.append((top, left, bottom, right))
        return PartlyComputed(tuple(kept)) if kept else None

    def scaled(self, y: float, x: float) -> PartlyComputed:
        """In a level of a pyramid whose pixels are `y` times as high and `x` times as wide."""
        boxes = [
            (floor(y0 / y), floor(x0 / x), ceil(y1 / y), ceil(x1 / x))
            for y0, x0, y1, x1 in self.boxes
        ]
        return PartlyComputed(tuple(boxes))

    def to_json(self) -> dict[str, Any]:
        """A JSON object; what is not known is left out."""
        values: dict[str, Any] = {"boxes": [list(box) for box in self.boxes]}
        if self.pixels is not None:
            values["pixels"] = self.pixels
        if self.mask_digest:
            values["mask_digest"] = self.mask_digest
        return values


def describe_mask(mask: NDArray[np.bool_]) -> PartlyComputed:
    """Boxes, number and digest of the pixels (y, x) that are True; at least one is."""
    from scipy.ndimage import find_objects, label

    parts = np.zeros((1, 1), int)
    for side in (1, 8, 32, 128, 512, max(mask.shape)):
        coarse = _any_in_squares(mask, side)
        parts, count = label(coarse, np.ones((3, 3)))
        if count <= _MOST_BOXES:
            break
    boxes = []
    for y, x in find_objects(parts):
        top, left = y.start * side, x.start * side
        part = mask[top : y.stop * side, left : x.stop * side]
        rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        boxes.append(
            (
                top + int(rows[0]),
                left + int(columns[0]),
                top + int(rows[-1]) + 1,
                left + int(columns[-1]) + 1,
            )
        )
    digest = f"{zlib.crc32(np.packbits(mask).tobytes()):08x}"
    return PartlyComputed(tuple(boxes), int(np.count_nonzero(mask)), digest)


def _any_in_squares(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    if side == 1:
        return mask
    rows = np.logical_or.reduceat(mask, range(0, mask.shape[0], side), axis=0)
    squares: NDArray[np.bool_] = np.logical_or.reduceat(rows, range(0, mask.shape[1], side), axis=1)
    return squares


def partial_to_json(partial: Mapping[int, PartlyComputed]) -> dict[str, Any]:
    """z -> JSON object of `PartlyComputed`."""
    return {str(z): part.to_json() for z, part in partial.items()}


def partial_from_json(values: Mapping[int, object]) -> dict[int, PartlyComputed]:
    """Inverse of `partial_to_json`.

    Raises
    ------
    RecordError
        If it is something else.
    """
    return {int(z): PartlyComputed.from_json(part) for z, part in values.items()}
