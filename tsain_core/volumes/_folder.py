"""A folder of numbered slices, TIFF or PNG."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..errors import TsainError, first_line
from ._grey import grey_dtype, grey_values
from ._guard import reading, require_regular
from ._png import png_header, read_png
from ._slice_names import distance, in_order
from ._slices import SliceStack
from ._tiff_layout import find_slices
from ._tiff_pages import check_stored, open_tiff
from ._units import normal_unit, stated
from .volume import Volume, VoxelSize, check_stack

SUFFIXES = (".tif", ".tiff", ".png")

#: File beside the slices which says their voxel size; written with downloaded samples.
DESCRIPTION = "sample.json"


class SliceFiles(SliceStack):
    """Image files, one a slice."""

    def __init__(self, paths: list[Path], size: tuple[int, int], dtype: Any) -> None:
        super().__init__((len(paths), *size), dtype)
        self.paths = paths

    def read_slice(self, z: int) -> NDArray[Any]:
        """The image of a file."""
        path = self.paths[z]
        with reading(path.name):
            require_regular(path)
            image = read_png(path) if _is_png(path) else _read_tiff(path)
            if image.shape != self.shape[1:]:
                raise TsainError(
                    f"{path.name} is {_size(image.shape)}, and no longer {_size(self.shape[1:])}: "
                    "it was changed after the stack was opened; open it again."
                )
            return np.asarray(image, self.dtype)


def read_folder(folder: Path) -> Volume:
    """Open a folder of slices in the order of their numbers: slice9 before slice10.

    Raises
    ------
    TsainError
        If there are no slices, a number is missing, other images lie among them, or sizes or
        dtypes differ.
    """
    paths = in_order(_slices(folder), folder.name)
    shape, dtype = _header(paths[0])
    for path in paths[1:]:
        other = _header(path)
        if other != (shape, dtype):
            raise TsainError(
                f"{path.name} is {_size(other[0])} {other[1]}, but {paths[0].name} is "
                f"{_size(shape)} {dtype}; expected one size and dtype: crop or convert it."
            )
    stack = SliceFiles(paths, shape, dtype)
    check_stack(stack.shape, dtype, folder.name)
    stack.read_slice(0)  # colour shows in the values only
    size, unit = _description(folder)
    if size is None and (found := distance(paths)):
        size, unit = (found[0], None, None), found[1]
    return Volume(
        stack.to_dask(),
        voxel_size=size,
        unit=unit,
        source=str(folder),
        format=f"folder of {len(paths)} {paths[0].suffix[1:].upper()} files",
    )


def has_slices(folder: Path) -> bool:
    """Whether a folder holds images at all."""
    return any(p.suffix.lower() in SUFFIXES for p in folder.iterdir())


def _slices(folder: Path) -> list[Path]:
    found = [
        p
        for p in folder.iterdir()
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and not p.is_dir()
    ]
    for path in found:
        require_regular(path)
    kinds = [sorted(p.name for p in found if _is_png(p) == png) for png in (True, False)]
    if all(kinds):
        few = min(kinds, key=len)
        raise TsainError(
            f"{folder.name} holds both TIFF and PNG files, {few[0]} among them; expected one kind: "
            "move the others elsewhere."
        )
    if len(found) < 2:
        raise TsainError(
            f"{folder.name} holds {len(found)} TIFF or PNG files; expected at least 2 slices: "
            "check the folder."
        )
    return found


def _is_png(path: Path) -> bool:
    return path.suffix.lower() == ".png"


def _header(path: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Height and width, and dtype of the grey values, without reading the pixels."""
    with reading(path.name):
        if _is_png(path):
            return png_header(path)
        with open_tiff(path) as tif:
            page = _only_page(tif, path)
            return (page.imagelength, page.imagewidth), grey_dtype(page)


def _read_tiff(path: Path) -> NDArray[Any]:
    with open_tiff(path) as tif:
        page = _only_page(tif, path)
        return grey_values(page.asarray(), page, path.name)


def _only_page(tif: tifffile.TiffFile, path: Path) -> Any:
    layout = find_slices(tif, path)
    if layout.block or len(layout.pages) > 1:
        raise TsainError(
            f"{path.parent.name}/{path.name} is {_size(layout.shape)}, a stack itself; expected "
            "one image a file: give that file instead of the folder."
        )
    page = layout.pages[0].keyframe
    check_stored(page, path, "its image")
    return page


def _description(folder: Path) -> tuple[VoxelSize | None, str | None]:
    path = folder / DESCRIPTION
    if not os.path.lexists(path):
        return None, None
    require_regular(path)
    try:
        values = json.loads(path.read_text())
        z, y, x = (stated(v) for v in values["voxel_size"])
        return (z, y, x) if any((z, y, x)) else None, normal_unit(values["unit"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise TsainError(
            f"{folder.name}/{DESCRIPTION} cannot be read ({first_line(error)}); expected "
            "voxel_size (z, y, x) and unit in JSON: mend or remove it."
        ) from error


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
