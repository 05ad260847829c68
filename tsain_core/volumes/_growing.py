"""Looking into a result while it is being written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from ._ome_zarr import level_paths, multiscales
from ._zarr import is_zarr


def growing_levels(partial: Path) -> list[Any]:
    """The pyramid of an OME-Zarr that is being written, full resolution first.

    Plain Zarr arrays, which are read again at each access; slices that are not there yet
    are 0. Empty for other formats, which cannot be read before they are complete.
    """
    if not is_zarr(partial):
        return []
    group = zarr.open_group(str(partial), mode="r")
    return [group[name] for name in level_paths(multiscales(group) or {})]
