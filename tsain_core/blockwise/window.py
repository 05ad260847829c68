"""What a block reads, and how the network computes only the tiles that it needs."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inference.finishing import reach
from ..inference.models import Image, Keys, SliceModel, TileDone
from ..inference.region import Region, ceil_to, hull
from ..inference.tiles import Tile, tile_image
from ..inference.wrapped_model import WrappedModel
from ..interpolation.schedule import Schedule, halvings
from ..volumes import Volume


@dataclass(frozen=True)
class Window:
    """What is read of each slice to compute a region of the result.

    A slice at 1/4 of a gap is computed from the slice at 1/2, round which the network looks as far
    as round a real one: so the slice at 1/2 is computed on more tiles.

    Attributes
    ----------
    read : Region
    write : Region
        The block's own region.
    rings : tuple of tuples of Tile
        The tiles to compute for a slice that 0, 1, ... halvings in a row read further; empty for
        methods that do without tiles.
    """

    read: Region
    write: Region
    rings: tuple[tuple[Tile, ...], ...] = ()


@dataclass(frozen=True)
class Tiling:
    """Side of a network's tiles, and pixels read around them; None for methods without tiles."""

    tile: int | None
    halo: int | None


def window(
    model: SliceModel, shape: tuple[int, int], write: Region, generations: int, tiling: Tiling
) -> Window:
    """The window of a region.

    Parameters
    ----------
    model : SliceModel
    shape : (height, width) of the slices
    write : Region
    generations : int
        Halvings in a row that the schedule takes, less one.
    tiling : Tiling
        Of a network its tile, and a halo if it needs one.
    """
    tiled = model.tiled
    if tiled is None:
        return Window(write, write)
    assert tiling.tile is not None
    multiple, rings, needed, halo = tiled.multiple, [], write, tiling.halo or 0
    tiles = tile_image(shape, tiling.tile, halo, multiple, write)
    if beyond := reach(model):
        around = write.grow(ceil_to(beyond, multiple)).snap(multiple).clip(shape)
        others = tile_image(shape, tiling.tile, halo, multiple, around)
        tiles += [_strip(t, around, shape, halo, multiple) for t in others if t not in tiles]
    for _ in range(generations):
        rings.append(tuple(tiles))
        needed = hull(t.read for t in tiles).clip(shape)
        tiles = tile_image(shape, tiling.tile, halo, multiple, needed)
    rings.append(tuple(tiles))
    needed = hull(t.read for t in tiles).clip(shape)
    return Window(needed, write, tuple(rings))


def _strip(tile: Tile, around: Region, shape: tuple[int, int], halo: int, multiple: int) -> Tile:
    """The part of a tile that lies in a region round a block, whose side is a multiple."""
    write = tile.write.intersect(around)
    padded = (ceil_to(shape[0], multiple), ceil_to(shape[1], multiple))
    return Tile(write.grow(ceil_to(halo, multiple)).snap(multiple).clip(padded), write)


def generations(schedule: Schedule, any_position: bool) -> dict[Fraction, int]:
    """Position in a gap -> how many halvings in a row read further what is computed there."""
    ends: dict[Fraction, tuple[Fraction, Fraction]] = {}
    for item in schedule.slices:
        if item.synthetic:
            for low, middle, high in halvings(item.fraction, any_position):
                ends[middle] = low, high
    found = dict.fromkeys(ends, 0)
    for middle in sorted(ends, key=lambda m: -m.denominator):
        for end in ends[middle]:
            if end in found and not any_position:
                found[end] = max(found[end], found[middle] + 1)
    return found


class WindowModel(WrappedModel):
    """A model that computes the tiles of a window, from crops of the slices."""

    def __init__(self, model: SliceModel, part: Window, table: dict[Fraction, int]) -> None:
        super().__init__(model)
        self._table = table
        self._rings = [[t.within(part.read) for t in tiles] for tiles in part.rings]

    def between(
        self,
        before: Image,
        after: Image,
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """See `SliceModel.between`."""
        tiled = self._model.tiled
        if tiled is None:
            return (yield from self._model.between(before, after, fraction))
        if keys is None:
            raise ValueError("A window's tiles depend on where the slices lie: pass their keys.")
        low, high = (key.fraction for key in keys)
        tiles = self._rings[self._table[low + (high - low) * fraction]]
        return (yield from tiled.compute_tiles(before, after, tiles, fraction, keys))


class WindowVolume:
    """The slices of a volume, cut to a window; each chunk is read once.

    Attributes
    ----------
    seconds : float
        Spent reading.
    bytes : int
        Read, uncompressed.
    """

    def __init__(self, volume: Volume, region: Region, first: int, last: int) -> None:
        self._volume, self._region, self._span = volume, region, (first, last)
        self._slab: tuple[int, NDArray[Any]] | None = None
        self.shape = (volume.shape[0], *region.shape)
        self.dtype = volume.dtype
        self.seconds, self.bytes = 0.0, 0

    def __getitem__(self, z: int) -> NDArray[Any]:
        started = time.perf_counter()
        if self._slab is None or not 0 <= z - self._slab[0] < len(self._slab[1]):
            deep = self._volume.chunks[0]
            first = max(z // deep * deep, self._span[0])
            last = min((z // deep + 1) * deep, self._span[1] + 1)
            self._slab = None
            self._slab = first, self._volume.read(slice(first, last), *self._region.slices)
            self.bytes += self._slab[1].nbytes
        image = self._slab[1][z - self._slab[0]]
        self.seconds += time.perf_counter() - started
        return image

    def missing(self, image: NDArray[Any], z: int) -> NDArray[np.bool_] | None:
        """See `Volume.missing`."""
        return self._volume.missing(image, z, self._region.y0, self._region.x0)
