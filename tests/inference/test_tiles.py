"""Tiles cover each pixel once, start on multiples, and have their halo."""

from __future__ import annotations

import numpy as np
import pytest

from tsain_core.errors import TsainError
from tsain_core.inference.region import Region, ceil_to
from tsain_core.inference.tiles import tile_image


@pytest.mark.parametrize("multiple", [4, 8])
@pytest.mark.parametrize("halo", [0, 5, 64])
@pytest.mark.parametrize("tile", [1, 16, 100, 5000])
@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (64, 64), (97, 203), (128, 130)])
def test_tiles(shape: tuple[int, int], tile: int, halo: int, multiple: int) -> None:
    if shape[0] * shape[1] > 3000 and tile == 1:
        tile = 7
    written = np.zeros(shape, int)
    padded = [ceil_to(n, multiple) for n in shape]
    for t in tile_image(shape, tile, halo, multiple):
        written[t.write.slices] += 1
        read, write = t.read, t.write
        assert read.y0 % multiple == read.x0 % multiple == 0
        assert read.y1 % multiple == read.x1 % multiple == 0
        assert read.y1 <= padded[0]
        assert read.x1 <= padded[1]
        assert read.y0 <= max(0, write.y0 - halo)
        assert read.x0 <= max(0, write.x0 - halo)
        assert read.y1 >= min(padded[0], write.y1 + halo)
        assert read.x1 >= min(padded[1], write.x1 + halo)
        inner = write.within(read)
        assert inner.shape == write.shape
        assert min(inner.y0, inner.x0) >= 0
    assert (written == 1).all()


def test_small_images_are_one_tile() -> None:
    (tile,) = tile_image((100, 90), 100, 32, 4)
    assert tile.write == Region(0, 0, 100, 90)
    assert tile.read == Region(0, 0, 100, 92)


@pytest.mark.parametrize(("tile", "halo"), [(0, 0), (-4, 0), (16, -1)])
def test_impossible_tiles(tile: int, halo: int) -> None:
    with pytest.raises(TsainError, match="at least 1 and 0"):
        tile_image((64, 64), tile, halo, 4)
