"""The header of an MRC file, checked against the size of the file."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import dtype_from_mode

from ..errors import TsainError
from ._guard import reading
from .volume import Shape, Triple

_LITTLE, _BIG = (b"\x44\x44", b"\x44\x41"), (b"\x11\x11",)  # machine stamps

#: IMOD's stamp and flags in the header's free space, and where they lie in mrcfile's field
#: (https://bio3d.colorado.edu/imod/doc/mrc_format.txt)
_IMOD_STAMP, _IMOD_AT, _SIGNED_BYTES, _HALF_BYTES = 1146047817, 40, 1, 16

_COMPLEX = (3, 4)
_FOUR_BITS = 101


@dataclass(frozen=True)
class MrcHeader:
    """Where the values lie, and what they are.

    Attributes
    ----------
    start : int
        Byte in the file.
    stored_shape : (sections, rows, columns)
    stored_dtype : numpy.dtype
    order : tuple of int
        Where z, y and x are among the stored axes.
    dtype : numpy.dtype
        Of the grey values.
    flip : int or None
        Bits to flip to read bytes as unsigned.
    voxel_size, origin : (z, y, x)
        In angstroms, whatever the file says.
    """

    start: int
    stored_shape: Shape
    stored_dtype: np.dtype[Any]
    order: tuple[int, int, int]
    dtype: np.dtype[Any]
    flip: int | None
    voxel_size: Triple
    origin: Triple

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x)."""
        return tuple(self.stored_shape[axis] for axis in self.order)


def read_header(path: Path) -> MrcHeader:
    """Read and check the header; no values are read.

    Raises
    ------
    TsainError
    """
    with reading(path.name, "MRC"):
        size = path.stat().st_size
        with path.open("rb") as file:
            content = file.read(HEADER_DTYPE.itemsize)
        if len(content) < HEADER_DTYPE.itemsize:
            raise _damaged(path, f"its header has {len(content)} of 1024 bytes")
        header = _in_order(content, path)
        order = _order(header, path)
        flip = _bytes_to_flip(header, path)
        stored = dtype_from_mode(int(header.mode)).newbyteorder(header.dtype["nx"].byteorder)
        shape = (int(header.nz), int(header.ny), int(header.nx))
        start = HEADER_DTYPE.itemsize + int(header.nsymbt)
        _check_size(path, header, shape, size - start, stored.itemsize)
        voxel_size = _voxel_size(header)
        return MrcHeader(
            start,
            shape,
            stored,
            order,
            np.dtype(np.uint8) if flip is not None else stored.newbyteorder("="),
            flip,
            voxel_size,
            _origin(header, order, voxel_size),
        )


def _in_order(content: bytes, path: Path) -> Any:
    """The header's fields in the byte order of the file."""
    header = np.frombuffer(content, HEADER_DTYPE).view(np.recarray)[0]
    if bytes(header.map)[:3] != b"MAP":
        raise TsainError(
            f"{path.name} cannot be read as MRC: it has no MAP stamp. It is no MRC file, or one of "
            "before 2000: save it with IMOD's newstack, or copy it again if it is damaged."
        )
    stamp = bytes(header.machst[:2])
    orders = "<" if stamp in _LITTLE else ">" if stamp in _BIG else "<>"
    for order in orders:  # some programs leave the stamp out
        fields = np.frombuffer(content, HEADER_DTYPE.newbyteorder(order)).view(np.recarray)[0]
        if 0 <= fields.mode <= _FOUR_BITS and fields.nx > 0:
            return fields
    raise _damaged(path, f"its header says {header.nx} columns in mode {header.mode}")


def _order(header: Any, path: Path) -> tuple[int, int, int]:
    """Where z, y and x are among sections, rows and columns."""
    codes = [int(header.maps), int(header.mapr), int(header.mapc)]
    if not any(codes):  # some programs leave them out
        return 0, 1, 2
    if sorted(codes) != [1, 2, 3]:
        raise _damaged(path, f"MAPC, MAPR and MAPS are {codes[::-1]} instead of 1, 2 and 3")
    return codes.index(3), codes.index(2), codes.index(1)


def _bytes_to_flip(header: Any, path: Path) -> int | None:
    """Bits to flip to read bytes as unsigned; None for values of more than a byte."""
    words = np.frombuffer(header.extra2.tobytes(), header.dtype["nx"], 2, _IMOD_AT)
    stamp, flags = (int(word) for word in words)
    mode, by_imod = int(header.mode), stamp == _IMOD_STAMP
    if mode == _FOUR_BITS or (mode == 0 and by_imod and flags & _HALF_BYTES):
        raise TsainError(
            f"{path.name} holds 4-bit values, two in a byte; uint8, uint16, int16 or float32 is "
            "required: convert it with IMOD's newstack -mode 1."
        )
    if mode in _COMPLEX:
        raise TsainError(
            f"{path.name} holds complex numbers (mode {mode}; complex64 or pairs of int16); a "
            "grey stack is required: take their magnitude."
        )
    if mode != 0:
        return None
    if not by_imod:
        raise TsainError(
            f"{path.name} holds signed bytes (mode 0); expected uint8, uint16, int16 or float32: "
            "convert it, for instance with IMOD's newstack -mode 1."
        )
    return 0x80 if flags & _SIGNED_BYTES else 0


def _check_size(path: Path, header: Any, shape: Shape, stored: int, itemsize: int) -> None:
    """The file holds as many slices as its header says; padding is shorter than a slice."""
    if int(header.nsymbt) < 0 or stored < 0:
        raise _damaged(path, f"its extended header is said to have {header.nsymbt} bytes")
    if min(shape) < 1:
        raise _damaged(path, f"its header says {' x '.join(map(str, shape))} values")
    section = prod(shape[1:]) * itemsize
    if stored < shape[0] * section:
        raise _damaged(
            path, f"its header says {shape[0]} slices, but the file holds {stored // section}"
        )
    if stored >= (shape[0] + 1) * section:
        raise TsainError(
            f"{path.name} says in its header that it has {shape[0]} slices, but it holds "
            f"{stored // section}: wait until it is complete if it is still being written, or save "
            "it again (in IMOD: newstack)."
        )
    volumes = int(header.mz) if 401 <= header.ispg <= 630 else 0
    if volumes > 0 and volumes != shape[0]:
        raise TsainError(
            f"{path.name} holds {shape[0] // volumes} volumes of {volumes} slices; one stack is "
            "required: save the one that is meant as a file of its own."
        )


def _voxel_size(header: Any) -> Triple:
    with np.errstate(all="ignore"):  # zeros are "not stated"
        z, y, x = (float(header.cella[a] / np.float32(header[f"m{a}"])) for a in "zyx")
    return z, y, x


def _origin(header: Any, order: tuple[int, int, int], voxel_size: Triple) -> Triple:
    """The origin, or where there is none the start of the sub-volume, in angstroms."""
    z, y, x = (float(header.origin[axis]) for axis in "zyx")
    if any((z, y, x)):
        return z, y, x
    starts = [int(header[name]) for name in ("nzstart", "nystart", "nxstart")]
    z, y, x = (starts[at] * side for at, side in zip(order, voxel_size, strict=True))
    return z, y, x


def _damaged(path: Path, reason: str) -> TsainError:
    return TsainError(
        f"{path.name} cannot be read as MRC: {reason}. The complete, uncompressed file is "
        "required: copy it again."
    )
