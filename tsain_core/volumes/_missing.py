"""Chunks of a Zarr array that were never written."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .volume import Shape


class MissingChunks:
    """Finds the chunks that hold nothing but the fill value.

    Zarr does not tell a chunk that was never written from one that holds only the fill value, and
    leaves out the latter when it writes; so they count as the same here.

    Parameters
    ----------
    stack : array-like (z, y, x)
        Read a box at a time.
    chunks : (z, y, x)
    fill : number
        The array's fill value.
    """

    def __init__(self, stack: Any, chunks: Shape, fill: Any) -> None:
        self._stack, self._chunks = stack, chunks
        self.fill = stack.dtype.type(0 if fill is None else fill)
        self._is_missing = lru_cache(1 << 16)(self._holds_nothing)

    def mask(self, image: NDArray[Any], z: int, y0: int, x0: int) -> NDArray[np.bool_] | None:
        """Where pixels of a slice's crop lie in missing chunks; None if none does.

        `image` is the crop (y, x) of slice `z` that begins at (y0, x0).
        """
        empty = self._is_fill(image)
        if not empty.any():
            return None
        mask = np.zeros(image.shape, bool)
        _, height, width = self._chunks
        for cy in range(y0 // height, -(-(y0 + image.shape[0]) // height)):
            for cx in range(x0 // width, -(-(x0 + image.shape[1]) // width)):
                part = (
                    slice(max(0, cy * height - y0), (cy + 1) * height - y0),
                    slice(max(0, cx * width - x0), (cx + 1) * width - x0),
                )
                if empty[part].all() and self._is_missing(z // self._chunks[0], cy, cx):
                    mask[part] = True
        return mask if mask.any() else None

    def _is_fill(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        if self.fill != self.fill:  # NaN
            return np.isnan(values)
        same: NDArray[np.bool_] = values == self.fill
        return same

    def _holds_nothing(self, *index: int) -> bool:
        box = tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, self._chunks, strict=True))
        return bool(self._is_fill(np.asarray(self._stack[box])).all())
