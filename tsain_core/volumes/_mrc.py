"""MRC stacks, as SerialEM and IMOD write them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import mrcfile
import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, first_line
from .volume import Triple, Volume, check_stack

_ANGSTROM = 0.1  # nanometres

#: IMOD's stamp and flags in the header's free space, and where they lie in mrcfile's field
#: (https://bio3d.colorado.edu/imod/doc/mrc_format.txt)
_IMOD_STAMP, _IMOD_AT, _SIGNED_BYTES = 1146047817, 40, 1


class MrcStack:
    """A memory-mapped MRC file in this machine's byte order; travels to other processes by name."""

    ndim = 3

    def __init__(self, path: Path, file: Any, flip: int | None) -> None:
        self.path, self._values, self._flip = path, file.data, flip
        self.shape = self._values.shape
        self.dtype = np.dtype("uint8") if flip is not None else self._values.dtype.newbyteorder("=")

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if self._flip is None:
            return np.array(self._values[index], self.dtype)
        return np.asarray(self._values[index]).view(np.uint8) ^ np.uint8(self._flip)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _values=_open(state["path"]).data)


def read_mrc(path: Path) -> Volume:
    """Open an MRC stack, memory-mapped; voxel size in nanometres.

    Bytes (mode 0) are read as IMOD reads its own: to 0 to 255, signed ones moved up by 128.

    Raises
    ------
    TsainError
        If it is damaged or no grey stack, or holds signed bytes of another program.
    """
    file = _open(path)
    data, header = file.data, file.header
    flip = _imod_flip(header) if data.dtype == np.int8 else None
    if data.dtype == np.int8 and flip is None:
        raise TsainError(
            f"{path.name} holds signed bytes (mode 0); needed is uint8, uint16, int16 or float32: "
            "convert it, for instance with IMOD's newstack -mode 1."
        )
    check_stack(data.shape, np.uint8 if flip is not None else data.dtype, path.name)
    z, y, x = (float(file.voxel_size[axis]) * _ANGSTROM for axis in "zyx")
    known = min(z, y, x) > 0
    stack = MrcStack(path, file, flip)
    chunks = (1, *stack.shape[1:])
    return Volume(
        da.from_array(stack, chunks=chunks, name=False, meta=np.empty((0, 0, 0), stack.dtype)),
        voxel_size=(z, y, x) if known else None,
        unit="nanometer" if known else None,
        offset=_offset(file, (z, y, x)),
        source=str(path),
        format="MRC",
    )


def _open(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # what mrcfile merely warns of
            # some microscopes pad their files; nothing is missing then
            warnings.filterwarnings("ignore", message=".*larger than expected")
            file = mrcfile.mmap(path, mode="r")
    except (ValueError, OSError, RuntimeWarning) as error:
        raise TsainError(
            f"{path.name} cannot be read as MRC ({first_line(error)}); needed is a "
            "complete, uncompressed file: copy it again."
        ) from error
    if file.data is None:
        raise TsainError(f"{path.name} holds no values; needed is a stack: copy it again.")
    return file


def _imod_flip(header: Any) -> int | None:
    """Bits to flip to read a file's bytes as unsigned; None where IMOD did not write it."""
    words = np.frombuffer(header.extra2.tobytes(), header.dtype["nx"], 2, _IMOD_AT)
    stamp, flags = (int(word) for word in words)
    if stamp != _IMOD_STAMP:
        return None
    return 0x80 if flags & _SIGNED_BYTES else 0


def _offset(file: Any, size: Triple) -> Triple:
    """The origin, or where there is none the start of the sub-volume, in nanometres."""
    z, y, x = (float(file.header.origin[axis]) * _ANGSTROM for axis in "zyx")
    if any((z, y, x)):
        return z, y, x
    start = file.nstart
    return float(start.z) * size[0], float(start.y) * size[1], float(start.x) * size[2]
