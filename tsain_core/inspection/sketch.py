"""A small picture of each slice, from which damage is seen, made while the stack streams by.

A slice is binned to at most 512 pixels a side, and patches of it are kept at full resolution: the
picture shows what lies where, the patches show how sharp it is. Slices are read in whole layers of
chunks where memory allows, and in bands of rows where a slice alone is too large for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..volumes import Volume

Floats = NDArray[np.float32]

#: Longest side of the small picture, in pixels.
SIDE = 512
#: Bytes of grey values that are read at once, unless the caller says otherwise.
MEMORY = 256 << 20
_PATCH, _PATCHES = 64, 6  # side in pixels; patches a side


@dataclass(frozen=True, eq=False)
class Sketch:
    """A slice, made small.

    Attributes
    ----------
    z : int
    digest : bytes
        Of all its grey values; equal for slices that are equal.
    image : float32 (y, x)
        Binned grey values; NaN where all pixels of a bin are.
    patches : float32 (n, y, x)
        Parts at full resolution, at the same places in every slice.
    """

    z: int
    digest: bytes
    image: Floats
    patches: Floats


def bin_size(shape: tuple[int, int]) -> int:
    """Pixels a side that become one pixel of a sketch of slices of this shape (y, x)."""
    return -(-max(shape) // SIDE)


def sketches(volume: Volume, memory: int = MEMORY) -> Iterator[Sketch]:
    """Sketches of all slices of a stack, in order.

    Parameters
    ----------
    volume : Volume
    memory : int
        Bytes of grey values that are read at once.

    Yields
    ------
    Sketch
    """
    depth, height, width = volume.shape
    size = bin_size((height, width))
    row = width * volume.dtype.itemsize
    room = memory // 2  # the rest is for a band of one slice as float32
    together = max(1, min(volume.chunks[0], room // (height * row)))
    rows = min(room // (together * row), room // (12 * width))
    rows = max(size, rows // size * size)
    corners = _corners(height, width)
    for first in range(0, depth, together):
        last = min(first + together, depth)
        makers = [_Maker(z, (height, width), size, corners) for z in range(first, last)]
        for y in range(0, height, rows):
            box = volume.read(slice(first, last), slice(y, y + rows), slice(None))
            for maker, band in zip(makers, box, strict=True):
                maker.add(band, y)
        yield from (maker.sketch() for maker in makers)


def _corners(height: int, width: int) -> list[tuple[int, int]]:
    """First row and column of each patch."""

    def starts(length: int) -> list[int]:
        room = max(length - _PATCH, 0)
        count = min(_PATCHES, max(1, length // _PATCH))
        return [round(room * (i + 0.5) / count) for i in range(count)]

    return [(y, x) for y in starts(height) for x in starts(width)]


class _Maker:
    """Collects the bands of one slice."""

    def __init__(
        self, z: int, shape: tuple[int, int], size: int, corners: list[tuple[int, int]]
    ) -> None:
        height, width = shape
        self._z, self._size, self._corners = z, size, corners
        self._digest = blake2b(digest_size=16)
        self._image = np.empty((-(-height // size), -(-width // size)), np.float32)
        sides = min(_PATCH, height), min(_PATCH, width)
        self._patches = np.empty((len(corners), *sides), np.float32)

    def add(self, band: NDArray[Any], y: int) -> None:
        """Take in a band of rows (y, x) that begins at row `y`."""
        self._digest.update(np.ascontiguousarray(band).data)
        binned = _binned(band, self._size)
        first = y // self._size
        self._image[first : first + len(binned)] = binned
        high, wide = self._patches.shape[1:]
        for patch, (top, left) in zip(self._patches, self._corners, strict=True):
            begin, end = max(top, y), min(top + high, y + len(band))
            if begin < end:
                patch[begin - top : end - top] = band[begin - y : end - y, left : left + wide]

    def sketch(self) -> Sketch:
        """The slice, when all its bands are in."""
        return Sketch(self._z, self._digest.digest(), self._image, self._patches)


def _binned(band: NDArray[Any], size: int) -> Floats:
    """Mean of each size x size square; squares at the far edges may be cut."""
    if size == 1:
        return band.astype(np.float32)
    values = band.astype(np.float32)
    known = np.isfinite(values)
    whole = bool(known.all())
    total = _sums(values if whole else np.where(known, values, 0), size)
    count = _sums(np.ones_like(values) if whole else known.astype(np.float32), size)
    with np.errstate(invalid="ignore"):
        mean: Floats = (total / count).astype(np.float32)
    return mean


def _sums(values: Floats, size: int) -> Floats:
    down = np.add.reduceat(values, range(0, values.shape[0], size), axis=0)
    sums: Floats = np.add.reduceat(down, range(0, values.shape[1], size), axis=1)
    return sums
