"""HDF5: CREMI's layout, or any dataset by its path."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, argument, warn
from ._attributes import stated_geometry
from ._axes import StackView, axis_name, chunks_of, named_axes, reading_chunks, spacing, stack_order
from ._datasets import choose_dataset
from ._guard import reading
from ._hdf5_crashes import check_harmless
from ._hdf5_links import check_path, check_sources, unmapped_slices
from ._marks import MARKS_KEY, read_marks
from ._missing import MOST_LISTED, MissingChunks, check_count, slices_with_gaps, warn_of_gaps
from ._units import normal_unit, voxel_size_of
from .volume import DTYPES, Volume, VoxelSize

#: Where CREMI keeps the grey values.
RAW = "volumes/raw"

#: Bytes of a chunk for each byte of the file that no compression reaches.
_MOST_PACKED = 5000
_BIG = 64 << 20
_LONGEST_SCALE = 1_000_000


class Hdf5Array:
    """Reads boxes of a dataset; the file is open only meanwhile."""

    def __init__(self, path: Path, dataset: str, sources: tuple[Path, ...] = ()) -> None:
        self.path, self.dataset, self.sources = path, dataset, sources

    def __call__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        with reading(self.path.name, "HDF5"):
            # the HDF5 library reads what is gone as black
            if gone := next((p for p in self.sources if not p.exists()), None):
                raise TsainError(f"{gone}, which {self.path.name} takes values from, is gone.")
            with h5py.File(self.path, "r") as file:
                return np.asarray(_dataset(file, self.path, self.dataset)[index])


def hdf5_datasets(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Path inside the file -> (shape, dtype) of every dataset, links aside."""
    check_harmless(path)
    with reading(path.name, "HDF5"), h5py.File(path, "r") as file:
        return _datasets(file)


def read_hdf5(path: Path, dataset: str | None = None) -> Volume:
    """Open a dataset of an HDF5 file.

    Raises
    ------
    TsainError
        If the file is damaged, it is not clear which dataset is meant, or it is no grey stack; if
        it takes its values from files that are gone, that lie elsewhere, or from itself.
    """
    check_harmless(path)
    with reading(path.name, "HDF5"), h5py.File(path, "r") as file:
        name = _open(file, path, dataset)
        check_harmless(path, name)
        return _volume(file, path, name)


def _volume(file: Any, path: Path, name: str) -> Volume:
    item, title = file[name], f"{path.name}/{name}"
    home = Path(item.file.filename)  # another one, where a link leads there
    shape = tuple(item.shape or ())
    sources = check_sources(item, home, title)
    _check_type(item, title)
    attributes = _attributes(item)
    names = _axis_names(item, attributes)
    order = stack_order(names, shape, item.dtype, title)
    _check_storage(item, home, title)
    stack = StackView(Hdf5Array(path, name, sources), shape, item.dtype, order)
    chunks = reading_chunks(stack, item.chunks)
    gaps = _warn_of_gaps(item, order, title)
    size, unit, offset = stated_geometry(attributes, names, order, len(shape))
    if size is None:
        size, unit = _scales(item, order)
    marks = read_marks(attributes.get(MARKS_KEY), title)
    return Volume(
        da.from_array(stack, chunks=chunks, name=False, meta=np.empty((0, 0, 0), stack.dtype)),
        voxel_size=size,
        unit=unit,
        offset=offset,
        **marks.fields(stack.shape[0], title),
        source=str(path),
        format="HDF5",
        dataset=name,
        missing_chunks=_missing(item, stack, gaps),
    )


def _missing(item: Any, stack: StackView, gaps: list[int]) -> MissingChunks | None:
    if not gaps:
        return None
    _, height, width = stack.shape
    chunks = chunks_of(stack, item.chunks) if item.chunks else (1, height, width)
    return MissingChunks(stack, chunks, item.fillvalue, frozenset(gaps))


def _open(file: Any, path: Path, dataset: str | None) -> str:
    """Name of the dataset that is meant; links are followed only when they are named or alone."""
    found = _datasets(file)
    links: list[str] = []
    if not found and dataset is None:
        file.visititems_links(lambda name, link: links.append(name) if _is_link(link) else None)
        dataset = links[0] if len(links) == 1 else None
    if dataset:
        with suppress(KeyError):  # nothing of that name: what there is, is said below
            check_path(file, path, dataset)
            if isinstance(file[dataset], h5py.Dataset):
                return dataset.strip("/")
    if links:
        raise TsainError(
            f"{path.name} holds no dataset, only links ({', '.join(links[:8])}); name one with "
            f"{argument('dataset')}, or give the file that they lead to."
        )
    return choose_dataset(path.name, found, dataset, RAW)


def _is_link(link: Any) -> bool:
    return isinstance(link, (h5py.SoftLink, h5py.ExternalLink))


def _datasets(file: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    found: dict[str, tuple[tuple[int, ...], str]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = tuple(item.shape or ()), _dtype_name(item)

    file.visititems(visit)
    return found


def _dtype_name(item: Any) -> str:
    try:
        return str(item.dtype)
    except TypeError:  # HDF5 has types that numpy does not know
        return "unknown"


def _dataset(file: Any, path: Path, name: str) -> Any:
    """The dataset, with external storage looked for beside the file, not where the program runs."""
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_efile_prefix(str(path.resolve().parent).encode())
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(), access))


def _attributes(item: Any) -> dict[str, Any]:
    """Attributes that can be read: of a dataset, and of the groups round it where it has none.

    Ours must be readable, for synthetic slices must not pass as acquired.
    """
    values: dict[str, Any] = {}
    for owner in (item, *_groups(item)):
        for key in owner.attrs:
            if key in values or (owner is not item and key == MARKS_KEY):
                continue
            try:
                values[key] = owner.attrs[key]
            except (OSError, TypeError, ValueError, RuntimeError, KeyError):
                if key == MARKS_KEY:
                    raise
    return values


def _groups(item: Any) -> list[Any]:
    groups = []
    name = item.name or "/"
    while name != "/":
        name = name.rpartition("/")[0] or "/"
        groups.append(item.file[name])
    return groups


def _axis_names(item: Any, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the axes: from attributes and labels, or of scales that are attached to them."""
    own = {key: value for key, value in attributes.items() if key in item.attrs}
    if names := named_axes(own, item.ndim):
        return names
    scales = [_scale(item, axis) for axis in range(item.ndim)]
    return tuple("" if s is None else axis_name(s.name.rpartition("/")[2]) for s in scales)


def _scale(item: Any, axis: int) -> Any:
    """The scale of an axis, or None; by its attribute, for h5py's `dims` crash on damaged ones."""
    with suppress(OSError, RuntimeError, ValueError, KeyError, TypeError, IndexError):
        scale = item.file[item.attrs["DIMENSION_LIST"][axis][0]]
        return scale if isinstance(scale, h5py.Dataset) and scale.name else None
    return None


def _scales(item: Any, order: tuple[int, int, int]) -> tuple[VoxelSize | None, str | None]:
    """Voxel size from scales that hold the place of each slice, row and column."""
    sides: list[float | None] = []
    units: list[str | None] = []
    for axis in order:
        side, unit = None, None
        with suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
            scale = _scale(item, axis)
            if (
                scale is not None
                and scale.shape == (item.shape[axis],)
                and 1 < scale.size < _LONGEST_SCALE
            ):
                side, unit = spacing(scale[:]), normal_unit(scale.attrs.get("units"))
        sides.append(side)
        units.append(unit)
    size, unit = voxel_size_of(sides, units)
    return (None, None) if unit is None else (size, unit)


def _check_type(item: Any, title: str) -> None:
    if _dtype_name(item) == "unknown":
        raise TsainError(
            f"{title} holds values of a type that only HDF5 knows; expected {', '.join(DTYPES)}: "
            "convert it to one of these."
        )


def _check_storage(item: Any, path: Path, title: str) -> None:
    """Refuse what cannot be decompressed, what was never written, and sizes that cannot be."""
    _check_filters(item, title)
    if item.is_virtual:
        return
    if item.id.get_storage_size() == 0:
        raise TsainError(
            f"{title} holds no values; choose another dataset with {argument('dataset')}, or "
            "write it again."
        )
    room = path.stat().st_size
    chunk = math.prod(item.chunks or ()) * item.dtype.itemsize
    whole = math.prod(item.shape) * item.dtype.itemsize
    compact = item.chunks is None and not item.external
    if (compact and whole > room) or (chunk > _BIG and chunk > _MOST_PACKED * room):
        raise TsainError(
            f"{title} claims {' x '.join(map(str, item.shape))} values, more than a file of {room} "
            "bytes can hold; it is damaged or incomplete: copy it again."
        )


def _check_filters(item: Any, title: str) -> None:
    settings = item.id.get_create_plist()
    for i in range(settings.get_nfilters()):
        code, _, _, name = settings.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            with suppress(ImportError):
                import hdf5plugin  # noqa: F401  # brings filters, where it is installed
        if not h5py.h5z.filter_avail(code):
            raise TsainError(
                f"{title} is compressed by the HDF5 filter {name.decode(errors='replace')} "
                f"({code}), which is not installed; install it (pip install hdf5plugin has most), "
                "or save the stack with gzip compression or none."
            )


def _warn_of_gaps(item: Any, order: tuple[int, int, int], title: str) -> list[int]:
    """Slices that were never written in full; warns of them."""
    if item.is_virtual:
        slices = unmapped_slices(item, order[0])
        depth = item.shape[order[0]]
        warn_of_gaps(title, slices, depth, len(slices), depth, item.fillvalue)
        return slices
    if item.chunks is None:
        return []
    grid = tuple(-(-n // c) for n, c in zip(item.shape, item.chunks, strict=True))
    total = math.prod(grid)
    if total > MOST_LISTED:
        there = item.id.get_num_chunks()
        check_count(there, total, title)
        if there < total:
            warn(
                f"{title}: {total - there} of {total} chunks were never written, and read as "
                f"{item.fillvalue}; they are too many to name their slices."
            )
        return []
    if item.id.get_num_chunks() >= total:
        return []
    stored = np.zeros(grid, bool)

    def note(chunk: Any) -> None:
        place = tuple(o // c for o, c in zip(chunk.chunk_offset, item.chunks, strict=True))
        if all(p < n for p, n in zip(place, grid, strict=True)):
            stored[place] = True

    item.id.chunk_iter(note)
    depth = item.shape[order[0]]
    slices = slices_with_gaps(stored, order, item.chunks[order[0]], depth)
    warn_of_gaps(title, slices, depth, int((~stored).sum()), total, item.fillvalue)
    return slices
