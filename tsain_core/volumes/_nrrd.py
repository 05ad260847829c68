"""NRRD, as 3D Slicer and Amira's exports write it: `.nrrd`, or a header `.nhdr` beside its data."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ._axes import axis_name, stack_order
from ._guard import reading, require_regular
from ._mapped import MappedArray, to_dask
from ._optional import extra_for
from ._units import normal_unit, offset_in, voxel_size_of
from .volume import Volume, check_room

SUFFIXES = (".nrrd", ".nhdr")

_DTYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_BY_NAME = {name: code for code, names in _DTYPES.items() for name in names}
_COMPRESSED: dict[str, Any] = {
    "gzip": gzip.open,
    "gz": gzip.open,
    "bzip2": bz2.open,
    "bz2": bz2.open,
}


class CompressedArray:
    """The values of a compressed file, decompressed as a whole when they are first used."""

    def __init__(
        self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], start: int, encoding: str
    ) -> None:
        self.path, self.dtype, self.shape = path, dtype, shape
        self.start, self.encoding = start, encoding
        self._values: NDArray[Any] | None = None

    def __call__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        if self._values is None:
            self._values = self._decompressed()
        return np.array(self._values[index])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": None}

    def _decompressed(self) -> NDArray[Any]:
        check_room(self.shape, self.dtype)
        size = prod(self.shape) * self.dtype.itemsize
        with reading(self.path.name, "NRRD"), self.path.open("rb") as file:
            file.seek(self.start)
            with _COMPRESSED[self.encoding](file) as stream:
                values = stream.read(size)  # no more than the header says
            if len(values) < size:
                raise EOFError(f"{len(values)} of {size} bytes")
            return np.frombuffer(values, self.dtype).reshape(self.shape)


def read_nrrd(path: Path) -> Volume:
    """Open an NRRD stack, memory-mapped where it is not compressed.

    Raises
    ------
    TsainError
        If pynrrd is not installed, or the file is damaged or no grey stack.
    """
    with extra_for(path.name, "NRRD", "nrrd"):
        import nrrd
    with reading(path.name, "NRRD"), path.open("rb") as file:
        header = nrrd.read_header(file)
        start = file.tell()
    with reading(path.name, "NRRD"):
        shape = tuple(int(n) for n in header["sizes"])[::-1]
        dtype = _dtype(header, path)
        names = tuple(axis_name(name) for name in header.get("labels", ()))[::-1]
        order = stack_order(names, shape, dtype, path.name)
        array = _values(header, path, start, dtype, shape)
        sizes, units, places = _geometry(header, len(shape), order)
    size, unit = voxel_size_of(sizes, units)
    return Volume(
        to_dask(array, shape, dtype, order),
        voxel_size=size,
        unit=unit,
        offset=offset_in(places, units, unit),
        source=str(path),
        format="NRRD",
    )


def _dtype(header: Mapping[str, Any], path: Path) -> np.dtype[Any]:
    name = str(header["type"]).strip().lower()
    if name not in _BY_NAME:
        raise TsainError(
            f"{path.name} holds values of the type {name!r}; numbers are required: save it as "
            "uint8, uint16, int16 or float."
        )
    end = ">" if str(header.get("endian", "little")).lower() == "big" else "<"
    return np.dtype(end + _BY_NAME[name])


def _values(
    header: Mapping[str, Any], path: Path, start: int, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> Any:
    """What reads boxes; `start` is where the values begin in a file that holds them itself."""
    named = header.get("datafile", header.get("data file"))
    if named is not None:
        path, start = _data_file(path, named), 0
    encoding = str(header.get("encoding", "raw")).lower()
    skipped = int(header.get("byteskip", header.get("byte skip", 0)))
    lines = int(header.get("lineskip", header.get("line skip", 0)))
    if encoding == "raw" and not lines and skipped >= -1:
        if skipped == -1:  # the values are the last of the file
            start, skipped = path.stat().st_size - prod(shape) * dtype.itemsize, 0
        return MappedArray(path, dtype, shape, start + skipped, "NRRD")
    if encoding in _COMPRESSED and not lines and not skipped:
        return CompressedArray(path, dtype, shape, start, encoding)
    skips = " with parts that are skipped" if lines or skipped else ""
    raise TsainError(
        f"{path.name} has the encoding {encoding!r}{skips}; raw, gzip or bzip2 without skipped "
        "parts is required: save it so."
    )


def _data_file(path: Path, named: Any) -> Path:
    if not isinstance(named, str) or named.upper().startswith("LIST") or "%" in named:
        raise TsainError(
            f"{path.name} has its values in several files; one file is required: save it as .nrrd."
        )
    if Path(named).name != named:
        raise TsainError(
            f"{path.name} names the data file {named}, which lies elsewhere; both lie in one "
            "folder: put it there and mend the name."
        )
    data = path.with_name(named)
    require_regular(data, path.name)
    return data


def _geometry(
    header: Mapping[str, Any], ndim: int, order: Sequence[int]
) -> tuple[list[Any], list[str | None], list[Any]]:
    """Sizes, units and places of the first voxel, each (z, y, x)."""
    sizes: list[Any] = list(header.get("spacings", [None] * ndim))
    units = [normal_unit(unit) for unit in header.get("units", [None] * ndim)]
    places: list[Any] = list(header.get("axis mins", header.get("axismins", [0.0] * ndim)))
    vectors = header.get("space directions")
    if vectors is not None:
        sizes = [None if v is None else float(np.linalg.norm(v)) for v in vectors]
        of_space = [normal_unit(unit) for unit in header.get("space units", ())]
        units = [of_space[0] if of_space else None] * ndim
        origin = header.get("space origin")
        places = [0.0] * ndim
        if origin is not None:
            for axis, vector in enumerate(vectors):
                along = None if vector is None else np.flatnonzero(vector)
                if along is not None and len(along) == 1:
                    places[axis] = origin[along[0]]
    stored = [ndim - 1 - axis for axis in order]  # NRRD lists the fastest axis first
    return (
        [sizes[axis] for axis in stored],
        [units[axis] for axis in stored],
        [places[axis] for axis in stored],
    )
