"""N5 and Neuroglancer precomputed, read by TensorStore."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ._axes import StackView, chunks_of, reading_chunks, stack_order
from ._guard import reading, require_regular
from ._missing import MOST_LISTED, MissingChunks, check_count, slices_with_gaps, warn_of_gaps
from ._optional import extra_for
from ._zarr_store import check_chunks, files_below
from .volume import Volume

_LONGEST_METADATA = 64 << 20


@dataclass(frozen=True)
class StoredArray:
    """An array that TensorStore opens, and what its metadata say.

    Attributes
    ----------
    folder : Path
        Where its chunks lie.
    spec : dict
        What TensorStore needs to open it.
    shape, chunks : tuple of int
        In the array's own order of axes.
    dtype : numpy dtype
    start : tuple of int
        Index of the first voxel.
    """

    folder: Path
    spec: dict[str, Any]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    start: tuple[int, ...]
    title: str


class TensorStoreArray:
    """Reads boxes; travels to other processes by its description."""

    def __init__(self, array: StoredArray) -> None:
        self.array = array
        self._open: Any = None

    def __call__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        with reading(f"A chunk of {self.array.title}"):
            if self._open is None:
                self._open = _opened(self.array.spec)
            start = self.array.start
            moved = tuple(
                slice(*(part.indices(n)[:2])) if isinstance(part, slice) else int(part)
                for part, n in zip(index, self.array.shape, strict=True)
            )
            shifted = tuple(
                slice(part.start + s, part.stop + s) if isinstance(part, slice) else part + s
                for part, s in zip(moved, start, strict=True)
            )
            return np.asarray(self._open[shifted].read().result())

    def __getstate__(self) -> dict[str, Any]:
        return {"array": self.array, "_open": None}


def stored_volume(
    array: StoredArray,
    names: tuple[str, ...],
    stored: NDArray[np.bool_] | None,
    geometry: Any,
    source: Path,
    **known: Any,
) -> Volume:
    """A stack of an array: axes in order, gaps warned of.

    Parameters
    ----------
    names : tuple of str
        Of the axes.
    stored : bool array, optional
        Which chunks are there.
    geometry : callable
        Order (z, y, x) -> (voxel size, unit, offset).

    Raises
    ------
    TsainError
        If it is no grey stack, TensorStore is missing or cannot open it, or no chunk is there.
    """
    with extra_for(array.title, "N5 or Neuroglancer", "tensorstore"):
        import tensorstore  # noqa: F401
    order = stack_order(names, array.shape, array.dtype, array.title)
    check_chunks(array.chunks, array.shape, array.dtype, array.title)
    read = TensorStoreArray(array)
    stack = StackView(read, array.shape, array.dtype, order)
    if stored is not None and not stored.any():
        raise TsainError(
            f"{array.title} has no chunk at all: all would be black; copy it again with its data."
        )
    with reading(array.title):
        stack[0:1, 0:1, 0:1]  # what the metadata do not tell shows here
    if stored is not None and not stored.all():
        z, depth = order[0], array.shape[order[0]]
        gaps = slices_with_gaps(stored, order, array.chunks[z], depth)
        warn_of_gaps(array.title, gaps, depth, int((~stored).sum()), stored.size, 0)
    chunks = reading_chunks(stack, array.chunks)
    size, unit, offset = geometry(order)
    return Volume(
        da.from_array(stack, chunks=chunks, name=False, meta=np.empty((0, 0, 0), stack.dtype)),
        voxel_size=size,
        unit=unit,
        offset=offset,
        source=str(source),
        missing_chunks=MissingChunks(stack, chunks_of(stack, array.chunks), 0),
        **known,
    )


def read_metadata(path: Path, owner: str) -> dict[str, Any]:
    """A small JSON file; empty if there is none.

    Raises
    ------
    TsainError
        If it is no regular file, too long, or no JSON.
    """
    if not os.path.lexists(path):
        return {}
    require_regular(path)
    with reading(f"{owner}/{path.name}"):
        if path.stat().st_size > _LONGEST_METADATA:
            raise ValueError(f"{path.stat().st_size} bytes, too many for metadata")
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, Mapping):
            raise ValueError("no JSON object")
        return dict(values)


def chunk_grid(array: StoredArray, place_of: Any) -> NDArray[np.bool_] | None:
    """Which chunks are there; None where there are too many to look up.

    `place_of` turns the path of a file below the array's folder into a place in the grid, or None.
    """
    grid = tuple(-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True))
    if prod(grid) > MOST_LISTED:
        found = sum(1 for _ in islice(files_below(array.folder, len(grid)), MOST_LISTED))
        check_count(found, min(prod(grid), MOST_LISTED * 1000), array.title)
        return None
    stored = np.zeros(grid, bool)
    for name in files_below(array.folder, len(grid)):
        place = place_of(name)
        if place is None or not all(0 <= p < n for p, n in zip(place, grid, strict=True)):
            continue
        require_regular(array.folder / name, array.title)  # a pipe would be waited for
        stored[place] = True
    return stored


def _opened(spec: dict[str, Any]) -> Any:
    import tensorstore

    return tensorstore.open(spec, open=True, read=True).result()


def positive_integers(values: Any, count: int | None = None) -> tuple[int, ...]:
    """Sizes in metadata.

    Raises
    ------
    ValueError
    """
    if not isinstance(values, list) or not values or (count and len(values) != count):
        raise ValueError(f"{values!r} is no list of sizes")
    numbers = tuple(int(value) for value in values)
    if min(numbers) < 1 or list(numbers) != values:
        raise ValueError(f"{values!r} is no list of sizes")
    return numbers


NUMBERED = re.compile(r"\d+")
