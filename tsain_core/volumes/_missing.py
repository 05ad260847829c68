"""Chunks of an array that were never written, and what is said of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, warn
from .volume import Shape

#: Chunks of which it is looked up whether they are stored; more would take long.
MOST_LISTED = 2_000_000
_EMPTIEST = 2000  # chunks that are claimed for each that is there
_SHOWN = 8  # runs of slices that are named in a warning


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
    slices : collection of int, optional
        The only slices with missing chunks, if that is known.
    """

    def __init__(
        self, stack: Any, chunks: Shape, fill: Any, slices: Collection[int] | None = None
    ) -> None:
        self._stack, self._chunks, self._slices = stack, chunks, slices
        self.fill = stack.dtype.type(0 if fill is None else fill)
        self._origin: Shape = (0, 0, 0)
        self._is_missing = lru_cache(1 << 16)(self._holds_nothing)

    def beginning_at(self, z: int, y: int, x: int) -> MissingChunks:
        """The same chunks, for a part of the stack that begins at a voxel."""
        part = copy(self)
        part._origin = self._origin[0] + z, self._origin[1] + y, self._origin[2] + x
        return part

    def mask(self, image: NDArray[Any], z: int, y0: int, x0: int) -> NDArray[np.bool_] | None:
        """Where pixels of a slice's crop lie in missing chunks; None if none does.

        `image` is the crop (y, x) of slice `z` that begins at (y0, x0).
        """
        z, y0, x0 = (n + start for n, start in zip((z, y0, x0), self._origin, strict=True))
        if self._slices is not None and z not in self._slices:
            return None
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


def check_count(stored: int, total: int, title: str) -> None:
    """Refuse an array that has next to nothing of the many chunks that it claims.

    Raises
    ------
    TsainError
    """
    if stored * _EMPTIEST < total:
        raise TsainError(
            f"{title} has {stored} of {total} chunks that it claims; its metadata are damaged or "
            "its data are not there: copy it again."
        )


def slices_with_gaps(stored: NDArray[np.bool_], order: Shape, deep: int, depth: int) -> list[int]:
    """Slices that miss a chunk.

    Parameters
    ----------
    stored : bool array
        Which chunks of the grid are there, in the array's own order of axes.
    order : (z, y, x)
        Which axes of the array these are.
    deep : int
        Slices in a chunk.
    depth : int
        Slices in the stack.
    """
    others = tuple(axis for axis in range(stored.ndim) if axis != order[0])
    gaps = np.flatnonzero(~stored.all(axis=others))
    return [z for i in gaps for z in range(int(i) * deep, min(depth, (int(i) + 1) * deep))]


def warn_of_gaps(
    title: str, slices: Sequence[int], depth: int, missing: int, total: int, fill: Any
) -> None:
    """Warn that slices are not all there, which would pass for black ones."""
    if not slices:
        return
    which = f"slice {slices[0]}" if len(slices) == 1 else f"slices {format_runs(slices)}"
    verb = "lacks" if len(slices) == 1 else "lack"
    warn(
        f"{title}: {which} of {depth} {verb} data: {missing} of {total} chunks "
        f"were never written, and read as {fill}. What is computed from them stays empty there; "
        "if they ought to be there, copy the stack again."
    )


def format_runs(numbers: Sequence[int]) -> str:
    """Numbers for people: "2, 5-9"; many are cut off."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], n]
        else:
            runs.append([n])
    shown = ", ".join("-".join(map(str, run)) for run in runs[:_SHOWN])
    return shown if len(runs) <= _SHOWN else f"{shown}, ... ({len(numbers)} in all)"
