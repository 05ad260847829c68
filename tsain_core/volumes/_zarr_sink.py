"""Writing OME-Zarr slice by slice: all levels of the pyramid grow with every slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .writer import Target
from .zarr_layout import OmeVersion, ZarrLayout, create_arrays, halve, write_metadata


class ZarrSink:
    """An OME-Zarr image in a local folder."""

    any_order = True

    def __init__(self, path: Path, target: Target, version: OmeVersion) -> None:
        layout = ZarrLayout(version)
        write_metadata(path, target, layout)
        self._levels = create_arrays(path, target, layout)

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write a slice at every level."""
        for i, level in enumerate(self._levels):
            if i:
                image = halve(image)
            level[z] = image

    def close(self) -> None:
        """Nothing is open."""
