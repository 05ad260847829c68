"""MRC stacks, as SerialEM and IMOD write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ._guard import reading
from ._mrc_header import MrcHeader, read_header
from ._units import offset_in, voxel_size_of
from .volume import Volume, check_stack

_ANGSTROM = 0.1  # nanometres


class MrcStack:
    """A memory-mapped MRC file in this machine's byte order; travels to other processes by name."""

    ndim = 3

    def __init__(self, path: Path, header: MrcHeader) -> None:
        self.path, self._header = path, header
        self._values = _mapped(path, header)
        self.shape, self.dtype = self._values.shape, header.dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        with reading(self.path.name, "MRC"):
            if self._header.flip is None:
                return np.array(self._values[index], self.dtype)
            return np.asarray(self._values[index]).view(np.uint8) ^ np.uint8(self._header.flip)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _values=_mapped(state["path"], state["_header"]))


def read_mrc(path: Path) -> Volume:
    """Open an MRC stack, memory-mapped; voxel size in nanometres.

    Axes are taken from MAPC, MAPR and MAPS. Bytes (mode 0) are read as IMOD reads its own: to 0 to
    255, signed ones moved up by 128.

    Raises
    ------
    TsainError
        If it is damaged or no grey stack, its header and its size disagree, or it holds signed
        bytes of another program.
    """
    header = read_header(path)
    check_stack(header.shape, header.dtype, path.name)
    stack = MrcStack(path, header)
    units = ("nanometer",) * 3
    size, unit = voxel_size_of([side * _ANGSTROM for side in header.voxel_size], units)
    return Volume(
        da.from_array(
            stack, chunks=(1, *stack.shape[1:]), name=False, meta=np.empty((0, 0, 0), stack.dtype)
        ),
        voxel_size=size,
        unit=unit,
        offset=offset_in([place * _ANGSTROM for place in header.origin], units, units[0]),
        source=str(path),
        format="MRC",
    )


def _mapped(path: Path, header: MrcHeader) -> NDArray[Any]:
    """The values as (z, y, x), as they are stored."""
    with reading(path.name, "MRC"):
        stored = np.memmap(path, header.stored_dtype, "r", header.start, header.stored_shape)
        return stored.transpose(header.order)
