"""A folder of numbered slices, TIFF or PNG."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
from numpy.typing import NDArray

from ..errors import TsainError, first_line
from ._slices import SliceStack
from ._units import normal_unit
from .volume import Triple, Volume, check_stack

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
        try:
            image = iio.imread(path) if path.suffix.lower() == ".png" else tifffile.imread(path)
        except Exception as error:  # the plugins raise errors of many kinds
            raise TsainError(
                f"{path.name} cannot be read ({first_line(error)}); needed is a complete image: "
                "copy it again, or put a copy of its neighbour there and compute it anew with "
                "--replace."
            ) from error
        return np.asarray(image.reshape(self.shape[1:]), self.dtype)


def read_folder(folder: Path) -> Volume:
    """Open a folder of slices in natural order: slice9 before slice10.

    Raises
    ------
    TsainError
        If there are no slices, a number is missing, or sizes or dtypes differ.
    """
    paths = _slices(folder)
    _check_numbers(paths, folder)
    shape, dtype = _header(paths[0])
    for path in paths[1:]:
        other = _header(path)
        if other != (shape, dtype):
            raise TsainError(
                f"{path.name} is {_size(other[0])} {other[1]}, but {paths[0].name} is "
                f"{_size(shape)} {dtype}; needed is one size and dtype: crop or convert it."
            )
    if len(shape) == 3 and shape[-1] > 4:
        raise TsainError(
            f"{folder.name}/{paths[0].name} is {_size(shape)}, a stack itself; needed is one image "
            "a file: give that file instead of the folder."
        )
    if len(shape) != 2:
        check_stack((len(paths), *shape), dtype, f"{folder.name}/{paths[0].name}")
    stack = SliceFiles(paths, (shape[0], shape[1]), dtype)
    check_stack(stack.shape, dtype, folder.name)
    size, unit = _description(folder)
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
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    ]
    kinds = {p.suffix.lower().replace("tiff", "tif") for p in found}
    if len(kinds) > 1:
        raise TsainError(
            f"{folder.name} holds both TIFF and PNG files; needed is one kind: move the others "
            "elsewhere."
        )
    if len(found) < 2:
        raise TsainError(
            f"{folder.name} holds {len(found)} TIFF or PNG files; needed are at least 2 slices: "
            "check the folder."
        )
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.stem)
    return [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts]


def _check_numbers(paths: list[Path], folder: Path) -> None:
    """The slice number must go up by one."""
    numbers = _slice_numbers(paths)
    if not numbers:
        return  # names without numbers: alphabetical order is all there is
    gaps = []
    for a, b, path in zip(numbers, numbers[1:], paths[1:], strict=False):
        if b == a:
            raise TsainError(
                f"{folder.name} holds two slices numbered {b} (one is {path.name}); needed is one "
                "stack a folder: move the others elsewhere."
            )
        if b != a + 1:
            gaps.append((a, b))
    if gaps:
        a, b = gaps[0]
        missing = ", ".join(f"{a + 1}" if b == a + 2 else f"{a + 1} to {b - 1}" for a, b in gaps)
        raise TsainError(
            f"{folder.name} has slice {a} and then {b}: {missing} missing; needed is every "
            f"slice: add it, or put a copy of slice {a} in each gap and compute these anew "
            "with --replace; if nothing is missing, number the files without gaps."
        )


def _slice_numbers(paths: list[Path]) -> list[int]:
    """The number in each name that counts the slices: the last one that is not always the same."""
    fields = [[int(n) for n in re.findall(r"\d+", path.stem)] for path in paths]
    if len({len(row) for row in fields}) > 1 or not fields[0]:
        return [row[-1] for row in fields] if all(fields) else []
    columns = list(zip(*fields, strict=True))
    counting = [column for column in columns if len(set(column)) > 1]
    return list((counting or columns)[-1])


def _header(path: Path) -> tuple[tuple[int, ...], Any]:
    """Shape and dtype without reading the pixels."""
    try:
        if path.suffix.lower() != ".png":
            with tifffile.TiffFile(path) as tif:
                shape = tuple(n for n in tif.series[0].shape if n != 1)
                return shape, np.dtype(tif.series[0].dtype).newbyteorder("=")
        properties = iio.improps(path)
        return tuple(properties.shape), np.dtype(properties.dtype)
    except Exception as error:  # the plugins raise errors of many kinds
        raise TsainError(
            f"{path.name} cannot be read ({first_line(error)}); needed is a complete image: "
            "copy it again."
        ) from error


def _description(folder: Path) -> tuple[Triple | None, str | None]:
    path = folder / DESCRIPTION
    if not path.is_file():
        return None, None
    try:
        values = json.loads(path.read_text())
        z, y, x = (float(v) for v in values["voxel_size"])
        return (z, y, x), normal_unit(values["unit"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise TsainError(
            f"{folder.name}/{DESCRIPTION} cannot be read ({first_line(error)}); needed are "
            "voxel_size (z, y, x) and unit in JSON: mend or remove it."
        ) from error


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
