"""Maps: where did the network have to look far, and where do its taps disagree."""

from __future__ import annotations

from collections.abc import Generator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..inference.region import Region
from ._points import KERNEL, Field
from ._probe import Fields, SamplingProbe

MapKind = Literal["offset", "spread"]
MapPart = Literal["rsab", "temporal", "drb"]

_TILE = 256
#: Root mean square distance of the taps of a plain 3 x 3 kernel from their centre.
_PLAIN = float(np.sqrt((KERNEL**2).sum(1).mean()))


def sampling_map(
    probe: SamplingProbe, region: Region, kind: MapKind, part: MapPart = "rsab"
) -> Generator[tuple[int, int], None, NDArray[np.float32]]:
    """A map over a region of the computed slice.

    Parameters
    ----------
    probe : SamplingProbe
    region : Region
        In pixels of the slice.
    kind : "offset" or "spread"
        "offset": mean length of the offsets, weighted by the masks, in pixels of the slice.
        "spread": root mean square distance of the sampling points from their weighted centre, over
        that of a plain 3 x 3 kernel; 1 is an ordinary convolution.
    part : "rsab", "temporal" or "drb"
        Mean over the spatial-adaptive steps, the towers' full-resolution levels on both sides, or
        the refinement blocks on both sides; and over their groups.

    Yields
    ------
    (done, total) : (int, int)
        Tiles; closing the generator stops.

    Returns
    -------
    ndarray (y, x), float32
        Of the region's shape; pixels of the feature map are repeated.
    """
    tiles = [
        Region(y, x, y + _TILE, x + _TILE).intersect(region)
        for y in range(region.y0, region.y1, _TILE)
        for x in range(region.x0, region.x1, _TILE)
    ]
    out = np.zeros(region.shape, np.float32)
    for done, tile in enumerate(tiles, 1):
        fields = _chosen(probe.fields(tile), part)
        values = np.mean([_values(field, kind) for field in fields], 0)
        out[tile.within(region).slices] = _at_pixels(values, fields[0], tile)
        yield done, len(tiles)
    return out


def _chosen(fields: Fields, part: MapPart) -> list[Field]:
    if part == "rsab":
        return list(fields.rsab)
    if part == "drb":
        return list(fields.drb.values())
    return [field for (_, level), field in fields.temporal.items() if level == 1]


def _values(field: Field, kind: MapKind) -> NDArray[np.float32]:
    """Mean over the groups, (H, W)."""
    mask = field.mask[:, :, None]  # groups x 9 x 1 x H x W
    total = np.maximum(mask.sum(1), 1e-6)
    if kind == "offset":
        length = np.linalg.norm(field.offset, axis=2, keepdims=True)
        values = (mask * length).sum(1) / total * field.stride
    else:
        places = field.offset + KERNEL[None, :, :, None, None].astype(np.float32)
        centre = (mask * places).sum(1) / total
        squares = ((places - centre[:, None]) ** 2).sum(2, keepdims=True)
        values = np.sqrt((mask * squares).sum(1) / total) / _PLAIN
    mean: NDArray[np.float32] = values.mean(0)[0]
    return mean


def _at_pixels(values: NDArray[np.float32], field: Field, tile: Region) -> NDArray[np.float32]:
    """A field's values at every pixel of a tile."""
    h, w = values.shape
    rows = np.round((np.arange(tile.y0, tile.y1) - field.y0) / field.stride).astype(int)
    columns = np.round((np.arange(tile.x0, tile.x1) - field.x0) / field.stride).astype(int)
    picked: NDArray[np.float32] = values[
        np.clip(rows, 0, h - 1)[:, None], np.clip(columns, 0, w - 1)
    ]
    return picked
