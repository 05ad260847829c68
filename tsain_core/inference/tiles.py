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

from dataclasses import dataclass

from ..errors import TsainError
from .region import Region, ceil_to


@dataclass(frozen=True)
class Tile:
    """What is read to compute `write`."""

    read: Region
    write: Region

    def within(self, outer: Region) -> Tile:
        """The same tile in coordinates that start at `outer`."""
        return Tile(self.read.within(outer), self.write.within(outer))


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
    area = Region(0, 0, *shape) if within is None else within.clip(shape)
    padded = (ceil_to(shape[0], multiple), ceil_to(shape[1], multiple))
    squares = [
        Region(y, x, y + side, x + side)
        for y in range(area.y0 // side * side, area.y1, side)
        for x in range(area.x0 // side * side, area.x1, side)
    ]
    return [Tile(s.grow(margin).clip(padded), s.clip(shape)) for s in squares]
