"""HDF5: CREMI's layout, or any dataset by its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, argument
from ._marks import MARKS_KEY, read_marks
from ._units import normal_unit
from .volume import Triple, Volume, check_stack

#: Where CREMI keeps the grey values.
RAW = "volumes/raw"


class Hdf5Stack:
    """A dataset as an array (z, y, x); the file is open only while it is read."""

    def __init__(self, path: Path, dataset: str, shape: tuple[int, ...], dtype: Any) -> None:
        self.path, self.dataset, self.shape, self.ndim = path, dataset, shape, len(shape)
        self.dtype = np.dtype(dtype).newbyteorder("=")

    def __getitem__(self, index: Any) -> NDArray[Any]:
        try:
            with h5py.File(self.path, "r") as file:
                return np.asarray(file[self.dataset][index], self.dtype)
        except (OSError, KeyError) as error:
            raise _unreadable(self.path, error) from error


def _unreadable(path: Path, error: Exception) -> TsainError:
    reason = str(error).replace("\n", " ")
    return TsainError(
        f"{path.name} cannot be read as HDF5 ({reason}); needed is a complete file: copy it again."
    )


def hdf5_datasets(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Path inside the file -> (shape, dtype) of every dataset, links aside."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = tuple(item.shape or ()), str(item.dtype)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except OSError as error:
        raise _unreadable(path, error) from error
    return found


def read_hdf5(path: Path, dataset: str | None = None) -> Volume:
    """Open a dataset of an HDF5 file.

    Raises
    ------
    TsainError
        If the file is damaged, it is not clear which dataset is meant, or it is no grey stack.
    """
    name = _linked(path, dataset) or choose_dataset(path.name, hdf5_datasets(path), dataset, RAW)
    title = f"{path.name}/{name}"
    with h5py.File(path, "r") as file:
        item = file[name]
        shape, attributes = tuple(item.shape or ()), dict(item.attrs)
        check_stack(shape, item.dtype, title)
        if item.id.get_storage_size() == 0 and item.chunks is None and not item.is_virtual:
            raise TsainError(
                f"{title} holds no values; choose another dataset with "
                f"{argument('dataset')}, or write it again."
            )
        stack, chunks = Hdf5Stack(path, name, shape, item.dtype), item.chunks or (1, *shape[1:])
    marks = read_marks(attributes.get(MARKS_KEY), title)
    size = _triple(attributes.get("resolution"))
    unit = _text(attributes.get("unit", attributes.get("units")))
    return Volume(
        da.from_array(stack, chunks=chunks, name=False, meta=np.empty((0, 0, 0), stack.dtype)),
        voxel_size=size,
        # CREMI writes no unit: its numbers are nanometres
        unit=normal_unit(unit) if unit is not None else ("nanometer" if size else None),
        offset=_triple(attributes.get("offset")) or (0.0, 0.0, 0.0),
        **marks.fields(shape[0], title),
        source=str(path),
        format="HDF5",
        dataset=name,
    )


def _linked(path: Path, dataset: str | None) -> str | None:
    """A dataset named through a link, which a walk over the file does not meet."""
    if not dataset:
        return None
    try:
        with h5py.File(path, "r") as file:
            return dataset.strip("/") if isinstance(file.get(dataset), h5py.Dataset) else None
    except (OSError, KeyError) as error:
        raise _unreadable(path, error) from error


def choose_dataset(
    file: str,
    found: dict[str, tuple[tuple[int, ...], str]],
    dataset: str | None,
    preferred: str | None = None,
) -> str:
    """The dataset that is meant: by name, by convention, or as the only stack there is.

    Raises
    ------
    TsainError
        With a list of what is there.
    """
    listing = ", ".join(
        f"{name} ({' x '.join(map(str, shape))} {dtype})" for name, (shape, dtype) in found.items()
    )
    if dataset is not None:
        if dataset.strip("/") in found:
            return dataset.strip("/")
        raise TsainError(
            f"{file} has no dataset {dataset!r}; needed is one of: {listing or 'it has none'}."
        )
    if preferred in found:
        return str(preferred)
    stacks = [name for name, (shape, _) in found.items() if len(shape) == 3]
    if len(stacks) == 1:
        return stacks[0]
    if not found:
        raise TsainError(f"{file} holds no dataset; needed is one with a grey stack (z, y, x).")
    if len(found) == 1:
        return next(iter(found))  # what is wrong with it is said later
    raise TsainError(
        f"{file} holds several datasets, and it is not clear which is meant: {listing}; "
        f"name one with {argument('dataset')}."
    )


def _triple(values: Any) -> Triple | None:
    if values is None or np.size(values) != 3:
        return None
    z, y, x = (float(v) for v in np.ravel(values))
    return z, y, x


def _text(value: Any) -> str | None:
    """An attribute as text; the first one of several (some programs store a unit per axis)."""
    if value is None or np.size(value) == 0:
        return None
    first = np.ravel(value)[0]
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)
