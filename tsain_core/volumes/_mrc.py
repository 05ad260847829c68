"""MRC stacks, as SerialEM and IMOD write them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import mrcfile
import numpy as np

from ..errors import TsainError, first_line
from .volume import Triple, Volume, check_stack

_ANGSTROM = 0.1  # nanometres


def read_mrc(path: Path) -> Volume:
    """Open an MRC stack, memory-mapped; voxel size in nanometres.

    Raises
    ------
    TsainError
        If it is damaged or no grey stack; signed bytes (mode 0) are not kept.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # what mrcfile merely warns of
            file = mrcfile.mmap(path, mode="r")
    except (ValueError, OSError, RuntimeWarning) as error:
        raise TsainError(
            f"{path.name} cannot be read as MRC ({first_line(error)}); needed is a "
            "complete, uncompressed file: copy it again."
        ) from error
    data, header = file.data, file.header
    if data is None:
        raise TsainError(f"{path.name} holds no values; needed is a stack: copy it again.")
    if data.dtype == np.int8:
        raise TsainError(
            f"{path.name} holds signed bytes (mode 0); needed is uint8, uint16, int16 or float32: "
            "convert it, for instance with IMOD's newstack -mode 1."
        )
    check_stack(data.shape, data.dtype, path.name)
    size = tuple(float(file.voxel_size[axis]) * _ANGSTROM for axis in "zyx")
    known = min(size) > 0
    return Volume(
        da.from_array(_NativeStack(data), chunks=(1, *data.shape[1:]), name=False),
        voxel_size=(size[0], size[1], size[2]) if known else None,
        unit="nanometer" if known else None,
        offset=_origin(header),
        source=str(path),
        format="MRC",
    )


class _NativeStack:
    """A memory-mapped array that hands out values in this machine's byte order."""

    def __init__(self, data: Any) -> None:
        self.data, self.shape, self.ndim = data, data.shape, data.ndim
        self.dtype = data.dtype.newbyteorder("=")

    def __getitem__(self, index: Any) -> Any:
        return np.array(self.data[index], self.dtype)


def _origin(header: Any) -> Triple:
    z, y, x = (float(header.origin[axis]) * _ANGSTROM for axis in "zyx")
    return z, y, x
