"""A folder of numbered slices: TIFF, PNG, or DigitalMicrograph's DM3 and DM4."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..errors import TsainError, first_line
from ._dm import SUFFIXES as _DM
from ._dm import dm_image
from ._grey import grey_dtype, grey_values
from ._guard import reading, require_regular
from ._png import png_header, read_png
from ._slice_names import distance, in_order
from ._slices import SliceStack
from ._tiff_layout import find_slices
from ._tiff_metadata import tiff_metadata
from ._tiff_pages import check_stored, open_tiff
from ._units import normal_unit, stated, voxel_size_of
from .volume import Volume, VoxelSize, check_stack

#: Endings of each kind of slices.
_KINDS = {"TIFF": (".tif", ".tiff"), "PNG": (".png",), "DM": _DM}
SUFFIXES = tuple(ending for endings in _KINDS.values() for ending in endings)

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
            image = _READERS[_kind(path)](path)
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
    if size is None:
        size, unit = _sizes_of_slices(paths)
    return Volume(
        stack.to_dask(),
        voxel_size=size,
        unit=unit,
        source=str(folder),
        format=f"folder of {len(paths)} {paths[0].suffix[1:].upper()} files",
    )


def _sizes_of_slices(paths: list[Path]) -> tuple[VoxelSize | None, str | None]:
    """Pixels as the first slice says, and the distance of slices as their names do."""
    plane, unit = _own_size(paths[0])
    apart, unit_apart = distance(paths) or (None, None)
    _, y, x = plane or (None, None, None)
    return voxel_size_of([apart, y, x], [unit_apart, unit, unit])


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
    kinds: dict[str, list[str]] = {}
    for path in found:
        kinds.setdefault(_kind(path), []).append(path.name)
    if len(kinds) > 1:
        first, second = sorted(kinds, key=lambda kind: (-len(kinds[kind]), kind))[:2]
        both = " and ".join(sorted((first, second), reverse=True))
        raise TsainError(
            f"{folder.name} holds both {both} files, {min(kinds[second])} among them; expected "
            "one kind: move the others elsewhere."
        )
    if len(found) < 2:
        raise TsainError(
            f"{folder.name} holds {len(found)} TIFF, PNG or DM files; expected at least 2 slices: "
            "check the folder."
        )
    return found


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    return next(kind for kind, endings in _KINDS.items() if suffix in endings)


def _header(path: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Height and width, and dtype of the grey values, without reading the pixels."""
    with reading(path.name):
        kind = _kind(path)
        if kind == "PNG":
            return png_header(path)
        if kind == "DM":
            return _dm_header(path)
        with open_tiff(path) as tif:
            page = _only_page(tif, path)
            return (page.imagelength, page.imagewidth), grey_dtype(page)


def _read_tiff(path: Path) -> NDArray[Any]:
    with open_tiff(path) as tif:
        page = _only_page(tif, path)
        return grey_values(page.asarray(), page, path.name)


def _dm_header(path: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    image = dm_image(path)
    shape = tuple(n for n in image.shape if n > 1)
    if len(shape) != 2:
        raise TsainError(
            f"{path.parent.name}/{path.name} is {_size(image.shape)}, no single slice; expected "
            "one image a file: give that file instead of the folder."
        )
    return (shape[0], shape[1]), image.dtype.newbyteorder("=")


def _read_dm(path: Path) -> NDArray[Any]:
    image = dm_image(path)
    values = image.values(path)((slice(None),) * len(image.shape))
    return values.reshape([n for n in image.shape if n > 1])


_READERS = {"TIFF": _read_tiff, "PNG": read_png, "DM": _read_dm}


def _own_size(path: Path) -> tuple[VoxelSize | None, str | None]:
    """What a slice says of its own pixels: (None, y, x) and their unit."""
    kind = _kind(path)
    if kind == "PNG":
        return None, None
    with reading(path.name):
        if kind == "DM":
            image = dm_image(path)
            plane = [axis for axis, n in enumerate(image.shape) if n > 1]
            units = [None, *(image.units[axis] for axis in plane)]
            return voxel_size_of([None, *(image.scales[axis] for axis in plane)], units)
        with open_tiff(path) as tif:
            size, unit, _ = tiff_metadata(tif, path)
    return ((None, *size[1:]) if size and any(size[1:]) else None), unit


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
