"""Writing OME-Zarr slice by slice: all levels of the pyramid grow with every slice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ._marks import Marks
from .writer import Target
from .zarr_layout import (
    ZarrLayout,
    create_arrays,
    halve,
    open_array,
    write_marks,
    write_metadata,
)


class ZarrSink:
    """An OME-Zarr image in a local folder."""

    any_order = True

    def __init__(self, path: Path, target: Target, layout: ZarrLayout) -> None:
        if target.compression is not None:
            layout = replace(layout, compression=target.compression)
        self._path, self._labels = path, target.labels
        write_metadata(path, target, layout)
        self._levels = create_arrays(path, target, layout)

    @classmethod
    def going_on(cls, path: Path, target: Target, layout: ZarrLayout) -> ZarrSink:
        """One whose arrays are there already."""
        made = cls.__new__(cls)
        made._path, made._labels = path, target.labels
        levels = range(len(layout.levels(target.shape)))
        made._levels = [open_array(path, level, "r+") for level in levels]
        return made

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write a slice at every level."""
        for i, level in enumerate(self._levels):
            if i:
                image = image[::2, ::2] if self._labels else halve(image)
            level[z] = image

    def mark(self, marks: Marks) -> None:
        """Write the marks among the image's attributes."""
        write_marks(self._path, marks)

    def close(self) -> None:
        """Nothing is open."""
