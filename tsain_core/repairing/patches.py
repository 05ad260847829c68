"""Where masked pixels lie, which slices they are computed from, and what is read for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ..inference.tiles import Region, ceil_to
from ..volumes import Volume
from .blend import RING
from .mask import RepairMask

Bits = NDArray[np.bool_]

#: Pixels read round what is computed.
MARGIN = 64
_CELL = 256  # side of the squares that a long, thin patch is computed in
_CLEAR = 8  # pixels round a patch that must be real in its neighbours, too
_NEAR = 16  # patches closer than this are one


@dataclass(frozen=True)
class Patch:
    """Masked pixels of a slice that lie together.

    Attributes
    ----------
    z : int
    box : Region
        Round the masked pixels and the ring that is compared with the real slice.
    mask : ndarray of bool (y, x)
        Of the box.
    before, after : int
        The nearest slices on both sides that are real there.
    """

    z: int
    box: Region
    mask: Bits
    before: int
    after: int


class Places:
    """Which pixels of a stack can be used to compute others: acquired ones that are not masked."""

    def __init__(self, volume: Volume, mask: RepairMask) -> None:
        self._volume, self._mask = volume, mask
        self._synthetic = set(volume.synthetic)

    def unreal(self, z: int, box: Region) -> Bits:
        """Pixels (y, x) of a box that are masked, or were computed earlier."""
        if z in self._synthetic:
            return np.ones(box.shape, bool)
        found = self._mask.at(z, box)
        if part := self._volume.partial.get(z):
            inside = part.cropped((box.y0, box.y1), (box.x0, box.x1))
            for y0, x0, y1, x1 in inside.boxes if inside else ():
                found[y0:y1, x0:x1] = True
        return found

    def patches(self, z: int) -> list[Patch]:
        """The patches of a slice.

        Raises
        ------
        TsainError
            If no slice on one side is real there.
        """
        from scipy.ndimage import find_objects, label

        bits = self._mask.at(z)
        size = bits.shape
        squares = np.logical_or.reduceat(bits, range(0, size[0], _NEAR), axis=0)
        squares = np.logical_or.reduceat(squares, range(0, size[1], _NEAR), axis=1)
        parts, _ = label(squares, np.ones((3, 3)))
        found = []
        for i, (y, x) in enumerate(find_objects(parts), 1):
            own = np.repeat(np.repeat(parts[y, x] == i, _NEAR, 0), _NEAR, 1)
            top, left = y.start * _NEAR, x.start * _NEAR
            part = bits[top : top + own.shape[0], left : left + own.shape[1]]
            part = part & own[: part.shape[0], : part.shape[1]]
            rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
            box = grown(
                Region(
                    top + int(rows[0]),
                    left + int(columns[0]),
                    top + int(rows[-1]) + 1,
                    left + int(columns[-1]) + 1,
                ),
                RING + 1,
                size,
            )
            mask = np.zeros(box.shape, bool)
            ys, xs = np.nonzero(part)
            mask[ys + top - box.y0, xs + left - box.x0] = True
            found.append(Patch(z, box, mask, *self._neighbours(z, box, mask)))
        return found

    def _neighbours(self, z: int, box: Region, mask: Bits) -> tuple[int, int]:
        from scipy.ndimage import binary_dilation

        outer = grown(box, _CLEAR, self._volume.shape[1:])
        wide = np.zeros(outer.shape, bool)
        wide[box.within(outer).slices] = mask
        wide = binary_dilation(wide, np.ones((3, 3)), _CLEAR)
        ends = []
        for way, name in ((-1, "before"), (1, "after")):
            at = z + way
            while 0 <= at < self._volume.shape[0] and (self.unreal(at, outer) & wide).any():
                at += way
            if not 0 <= at < self._volume.shape[0]:
                raise TsainError(
                    f"Masked pixels of slice {z} (rows {box.y0} to {box.y1 - 1}, columns {box.x0} "
                    f"to {box.x1 - 1}) have no slice {name} them that is real there; one on each "
                    "side is required: take them out of the mask."
                )
            ends.append(at)
        return ends[0], ends[1]


def windows(patch: Patch, size: tuple[int, int], multiple: int) -> Iterator[tuple[Region, Region]]:
    """(what is computed, what is read for it), which together cover the patch with its ring.

    A patch is cut into squares where that spares much: of a tear across the slice only what is
    near it is computed.
    """
    from scipy.ndimage import binary_dilation

    wanted = binary_dilation(patch.mask, np.ones((3, 3)), RING + 1)
    whole = _read(patch.box, size, multiple)
    cells = list(_cells(wanted, patch.box))
    reads = [_read(cell, size, multiple) for cell in cells]
    if sum(_area(read) for read in reads) < 0.7 * _area(whole):
        yield from zip(cells, reads, strict=True)
    else:
        yield patch.box, whole


def _cells(wanted: Bits, box: Region) -> Iterator[Region]:
    height, width = wanted.shape
    for top in range(0, height, _CELL):
        for left in range(0, width, _CELL):
            part = wanted[top : top + _CELL, left : left + _CELL]
            if part.any():
                rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
                y, x = box.y0 + top, box.x0 + left
                yield Region(
                    y + int(rows[0]),
                    x + int(columns[0]),
                    y + int(rows[-1]) + 1,
                    x + int(columns[-1]) + 1,
                )


def _read(box: Region, size: tuple[int, int], multiple: int) -> Region:
    """A box with its margin, beginning at multiples: so it is computed as the whole slice would."""
    wide = grown(box, MARGIN, size)
    return Region(
        wide.y0 // multiple * multiple,
        wide.x0 // multiple * multiple,
        min(ceil_to(wide.y1, multiple), size[0]),
        min(ceil_to(wide.x1, multiple), size[1]),
    )


def grown(box: Region, by: int, size: tuple[int, int]) -> Region:
    """A box with `by` more pixels on each side, as far as the slice reaches."""
    return Region(
        max(0, box.y0 - by),
        max(0, box.x0 - by),
        min(size[0], box.y1 + by),
        min(size[1], box.x1 + by),
    )


def _area(box: Region) -> int:
    return box.shape[0] * box.shape[1]
