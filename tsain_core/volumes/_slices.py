"""Arrays (z, y, x) whose slices are read one at a time."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray


class SliceStack:
    """Base of lazy stacks: subclasses read a slice, this indexes."""

    ndim = 3

    def __init__(self, shape: tuple[int, int, int], dtype: Any) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype).newbyteorder("=")

    def read_slice(self, z: int) -> NDArray[Any]:
        """Slice `z` (y, x), in the dtype of the stack."""
        raise NotImplementedError

    def __getitem__(self, index: tuple[Any, Any, Any]) -> NDArray[Any]:
        z, *plane = index
        if isinstance(z, slice):
            return np.stack([self.read_slice(i)[tuple(plane)] for i in range(self.shape[0])[z]])
        return self.read_slice(int(z))[tuple(plane)]

    def to_dask(self) -> da.Array:
        """A dask array with a slice a chunk."""
        chunks = (1, *self.shape[1:])
        return da.from_array(self, chunks=chunks, name=False, meta=np.empty((0, 0, 0), self.dtype))
