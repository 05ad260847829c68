"""Read and write regions of tiles: pure arithmetic.

::

    +---------------------------+  image, padded to multiples of `multiple`
    |   +-------------+         |
    |   | read        |         |  read  = write + halo on all sides, cut at the image's edge,
    |   |  +-------+  |         |          origin and size multiples of `multiple`
    |   |  | write |  |         |  write = what is kept of the result; the write regions of all
    |   |  +-------+  |         |          tiles cover each pixel of the image exactly once
    |   +-------------+         |
    +---------------------------+

The origins must be multiples because the pyramid halves the image twice: with another phase the
network computes something else, and seams show whatever the halo.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import TsainError


@dataclass(frozen=True)
class Region:
    """Half-open rectangle [y0, y1) x [x0, x1)."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this region in an image."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def within(self, outer: Region) -> Region:
        """The same rectangle in coordinates that start at `outer`."""
        return Region(
            self.y0 - outer.y0, self.x0 - outer.x0, self.y1 - outer.y0, self.x1 - outer.x0
        )


@dataclass(frozen=True)
class Tile:
    """What is read to compute `write`."""

    read: Region
    write: Region

    def within(self, outer: Region) -> Tile:
        """The same tile in coordinates that start at `outer`."""
        return Tile(self.read.within(outer), self.write.within(outer))


def hull(regions: Iterable[Region]) -> Region:
    """The smallest region that holds all of these."""
    found = list(regions)
    return Region(
        min(r.y0 for r in found),
        min(r.x0 for r in found),
        max(r.y1 for r in found),
        max(r.x1 for r in found),
    )


def ceil_to(value: int, multiple: int) -> int:
    """Smallest multiple not below `value`."""
    return -(-value // multiple) * multiple


def tile_image(
    shape: tuple[int, int], tile: int, halo: int, multiple: int, within: Region | None = None
) -> list[Tile]:
    """Cut an image into tiles.

    Parameters
    ----------
    shape : (height, width)
        Of the image, before padding.
    tile : int
        Side of the write regions in pixels, rounded up to a multiple; an image no larger than
        this is one tile.
    halo : int
        Least number of pixels read around a write region, where there is an image.
    multiple : int
        Of which origins and sizes of the read regions must be multiples.
    within : Region, optional
        Only the tiles whose write regions meet this part of the image.

    Returns
    -------
    list of Tile
        Row by row. Read regions are in the image padded at the bottom and right to multiples of
        `multiple`; write regions end at the image.

    Raises
    ------
    TsainError
        If `tile` is below 1 or `halo` negative.
    """
    if tile < 1 or halo < 0:
        raise TsainError(f"Tile {tile} and halo {halo} px; expected at least 1 and 0.")
    side, margin = ceil_to(tile, multiple), ceil_to(halo, multiple)
    bounds = (0, shape[0], 0, shape[1])
    if within is not None:
        bounds = (within.y0, within.y1, within.x0, within.x1)
    spans = []
    for size, first, end in zip(shape, bounds[::2], bounds[1::2], strict=True):
        padded = ceil_to(size, multiple)
        spans.append(
            [
                (max(0, a - margin), a, min(a + side, size), min(a + side + margin, padded))
                for a in range(first // side * side, min(end, size), side)
            ]
        )
    return [
        Tile(Region(ry0, rx0, ry1, rx1), Region(y0, x0, y1, x1))
        for ry0, y0, y1, ry1 in spans[0]
        for rx0, x0, x1, rx1 in spans[1]
    ]
