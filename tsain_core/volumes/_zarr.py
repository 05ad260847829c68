"""Zarr arrays and groups, OME-Zarr multiscales 0.4 (Zarr v2) and 0.5 (Zarr v3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from math import prod
from typing import Any

import dask.array as da
import numpy as np
import zarr
from numpy.typing import NDArray

from ..errors import TsainError, argument, first_line
from ._attributes import stated_geometry
from ._axes import StackView, axis_name, chunks_of, named_axes, reading_chunks, stack_order
from ._datasets import choose_dataset
from ._guard import reading
from ._label_images import LABELS, is_label_image, label_names
from ._locations import Location
from ._marks import MARKS_KEY, read_marks
from ._missing import MissingChunks, slices_with_gaps, warn_of_gaps
from ._ome_zarr import has_ordered_scales, level_paths, multiscales, read_level
from ._zarr_store import check_array, open_node, stored_chunks
from .volume import Shape, Volume, accepting_labels

_METADATA_FILES = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


class ZarrArray:
    """Reads boxes of a Zarr array."""

    def __init__(self, array: Any, name: str) -> None:
        self.array, self.name = array, name

    def __call__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        with reading(f"A chunk of {self.name}"):
            return np.asarray(self.array[index])


def is_zarr(path: Location) -> bool:
    """Whether a folder is a Zarr array or group, or says by its name that it should be."""
    return path.suffix == ".zarr" or any((path / name).is_file() for name in _METADATA_FILES)


def zarr_datasets(path: Location) -> dict[str, tuple[tuple[int, ...], str]]:
    """Path inside a group -> (shape, dtype) of every array."""
    node = _open(path)
    if not isinstance(node, zarr.Group):
        return {}
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    pending = [("", node)]
    while pending:
        prefix, group = pending.pop()
        for name, array in group.arrays():
            found[prefix + name] = tuple(array.shape), str(array.dtype)
        pending += [(f"{prefix}{name}/", child) for name, child in group.groups()]
    return dict(sorted(found.items()))


def read_zarr(path: Location, dataset: str | None = None) -> Volume:
    """Open a Zarr array, or the array or multiscale image of a group.

    Raises
    ------
    TsainError
        If metadata are missing or damaged, it is not clear which array is meant, or it is no grey
        stack.
    """
    node = _open(path)
    if not isinstance(node, zarr.Group):
        if dataset:
            leave_out = argument("dataset", dataset)
            raise TsainError(f"{path.name} is a single array; leave out {leave_out}.")
        return _read_array(node, path, None)
    name = (dataset or "").strip("/")
    if image := _image(node, name):
        return _read_image(node, *image, path)
    name = choose_dataset(path.name, zarr_datasets(path), dataset)
    return _read_array(node[name], path, name)


def labels_in(path: Location) -> list[str]:
    """Paths of the label images of an image."""
    node = _open(path)
    names = label_names(node) if isinstance(node, zarr.Group) else []
    return [f"{LABELS}/{name}" for name in names if _scales(node, f"{LABELS}/{name}")]


def pyramid_levels(path: Location, dataset: str | None = None) -> list[str]:
    """Paths of all levels of the multiscale image that is meant; empty for plain arrays.

    Raises
    ------
    TsainError
        If metadata are missing or damaged.
    """
    node = _open(path)
    image = _image(node, (dataset or "").strip("/")) if isinstance(node, zarr.Group) else None
    if image is None or image[1] is not None:
        return []
    group = image[0]
    owner = node[group] if group else node
    levels = finest_first(owner, multiscales(owner) or {}, path)
    return [f"{group}/{name}".strip("/") for name in levels]


def finest_level(path: Location, level: str) -> Volume | None:
    """The full resolution of the image that a level belongs to; None if it is that, or no level."""
    levels = pyramid_levels(path, level.rpartition("/")[0])
    return read_zarr(path, levels[0]) if level in levels[1:] else None


def _open(path: Location) -> Any:
    with reading(path.name, "Zarr"):
        try:
            return open_node(path)
        except FileNotFoundError as error:  # the folder is there
            raise TsainError(
                f"{path.name} cannot be read as Zarr ({first_line(error)}); expected a folder "
                "with valid metadata (zarr.json or .zarray): copy it again."
            ) from error


def _image(node: Any, name: str) -> tuple[str, str | None] | None:
    """(group of the multiscale image that is meant, level if one is named)."""
    # without a name: the image, or the first of several as bioformats2raw lays them out
    for group in (name,) if name else ("", "0"):
        if _scales(node, group):
            return group, None
    above, _, level = name.rpartition("/")
    scales = _scales(node, above) if name else None
    return (above, level) if scales and level in level_paths(scales) else None


def _scales(node: Any, group: str) -> Mapping[str, Any] | None:
    if not group:
        return multiscales(node)
    found = node.get(group)
    return multiscales(found) if isinstance(found, zarr.Group) else None


def _read_image(node: Any, group: str, level_name: str | None, path: Location) -> Volume:
    owner = node[group] if group else node
    scales = multiscales(owner) or {}
    levels = finest_first(owner, scales, path)
    level = read_level(scales, path.name, level_name or (levels[0] if levels else None))
    array = _member(owner, level.path, path)
    if len(array.shape) != len(level.axes):
        raise TsainError(
            f"{path.name} names {len(level.axes)} axes for an array of {len(array.shape)} "
            f"({', '.join(level.axes)}); expected a name for each: write it again."
        )
    labels = is_label_image(owner)
    with accepting_labels() if labels else nullcontext():
        order = stack_order(level.axes, tuple(array.shape), array.dtype, path.name)
    marks = read_marks(dict(owner.attrs).get(MARKS_KEY), path.name)
    return _volume(
        array,
        order,
        path,
        voxel_size=level.voxel_size,
        unit=level.unit,
        offset=level.offset,
        labels=labels,
        **marks.fields(int(array.shape[order[0]]), path.name),
        format=f"OME-Zarr {'0.5' if _version(node) == 3 else '0.4'}",
        dataset="/".join(part for part in (group, level_name) if part) or None,
    )


def finest_first(owner: Any, scales: Mapping[str, Any], path: Location) -> list[str]:
    """Paths of the levels, the finest first: by their scales, or where these say nothing by size.

    Raises
    ------
    TsainError
        If the size of a level is needed and it cannot be opened.
    """
    paths = level_paths(scales)
    if len(paths) < 2 or has_ordered_scales(scales):
        return paths
    sizes = {name: prod(_member(owner, name, path).shape) for name in paths}
    return sorted(paths, key=lambda name: -sizes[name])


def _member(group: Any, name: str, path: Location) -> Any:
    try:
        return group[name]
    except Exception as error:  # missing and damaged metadata raise errors of many kinds
        raise TsainError(
            f"The array {name!r} of {path.name} cannot be opened ({first_line(error)}); expected "
            "each array that the metadata name: copy it again."
        ) from error


def _version(node: Any) -> int:
    metadata = getattr(node, "metadata", None)
    return int(getattr(metadata, "zarr_format", 2))


def _read_array(array: Any, path: Location, name: str | None) -> Volume:
    attributes = dict(array.attrs)
    marks = read_marks(attributes.get(MARKS_KEY), path.name)
    shape = tuple(array.shape)
    # names are free in Zarr v3: those that name no known axis say nothing
    names = tuple(axis_name(n) for n in getattr(array.metadata, "dimension_names", None) or ())
    if len(names) != len(shape) or not set("zyx") & set(names):
        names = named_axes(attributes, len(shape))
    order = stack_order(names, shape, array.dtype, path.name)
    size, unit, offset = stated_geometry(attributes, names, order, len(shape))
    return _volume(
        array,
        order,
        path,
        voxel_size=size,
        unit=unit,
        offset=offset,
        **marks.fields(int(array.shape[order[0]]), path.name),
        format=f"Zarr v{_version(array)}",
        dataset=name,
    )


def read_named_array(path: Location, names: Sequence[str], **known: Any) -> Volume:
    """Open a single array whose axes are known from elsewhere; `known` are fields of the volume.

    Raises
    ------
    TsainError
        If it cannot be opened, or is no grey stack.
    """
    node = _open(path)
    if isinstance(node, zarr.Group):
        raise TsainError(f"{path.name} is a group; expected a single array: copy it again.")
    shape = tuple(node.shape)
    order = stack_order(tuple(names)[-len(shape) :], shape, node.dtype, path.name)
    return _volume(node, order, path, **known)


def _volume(array: Any, order: Shape, path: Location, **known: Any) -> Volume:
    title = path.name if not array.path else f"{path.name}/{array.path}"
    check_array(array, title)
    stack = StackView(ZarrArray(array, path.name), tuple(array.shape), array.dtype, order)
    fill = getattr(array, "fill_value", 0)
    _warn_of_gaps(array, order, title, fill)
    chunks = reading_chunks(stack, array.chunks)
    data = da.from_array(stack, chunks=chunks, name=False, meta=np.empty((0, 0, 0), stack.dtype))
    missing = MissingChunks(stack, chunks_of(stack, array.chunks), fill)
    return Volume(data, source=str(path), missing_chunks=missing, **known)


def _warn_of_gaps(array: Any, order: Shape, title: str, fill: Any) -> None:
    stored = stored_chunks(array, title)
    if stored is None or stored.all():
        return
    z, depth = order[0], int(array.shape[order[0]])
    gaps = slices_with_gaps(stored, order, int(array.chunks[z]), depth)
    warn_of_gaps(title, gaps, depth, int((~stored).sum()), stored.size, fill)
