"""Grey values that lie in a file in one piece, memory-mapped."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ._axes import StackView, reading_chunks
from ._guard import reading, require_regular
from .volume import Shape


class MappedArray:
    """Reads boxes of a file that holds an array in one piece; travels to processes by its name.

    Parameters
    ----------
    path : path
    dtype : numpy dtype
        As stored.
    shape : tuple of int
        As stored, the slowest axis first.
    start : int
        Byte where the values begin.
    kind : str
        Name of the format, for errors.

    Raises
    ------
    TsainError
        If the file is too short for what it says.
    """

    def __init__(
        self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], start: int, kind: str
    ) -> None:
        self.path, self.dtype, self.shape, self.start, self.kind = path, dtype, shape, start, kind
        self._values: NDArray[Any] | None = None
        require_regular(path)
        size, needed = path.stat().st_size, prod(shape) * dtype.itemsize
        if min(shape) < 1 or start < 0 or start + needed > size:
            raise TsainError(
                f"{path.name} says that it has {' x '.join(map(str, shape))} values of "
                f"{dtype.name}, but holds {max(0, size - start)} bytes of them: it is damaged or "
                "incomplete; copy it again, or wait until it is complete."
            )

    def __call__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        with reading(self.path.name, self.kind):
            if self._values is None:
                self._values = np.memmap(self.path, self.dtype, "r", self.start, self.shape)
            return np.array(self._values[index])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": None}


def to_dask(read: Any, shape: tuple[int, ...], dtype: Any, order: Shape) -> da.Array:
    """A stack (z, y, x) of an array without chunks that `read` gives boxes of."""
    stack = StackView(read, shape, dtype, order)
    chunks = reading_chunks(stack, None)
    return da.from_array(stack, chunks=chunks, name=False, meta=np.empty((0, 0, 0), stack.dtype))
