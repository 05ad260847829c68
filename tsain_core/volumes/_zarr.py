"""Zarr arrays and groups, OME-Zarr multiscales 0.4 (Zarr v2) and 0.5 (Zarr v3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import zarr
from numpy.typing import NDArray

from ..errors import TsainError, argument, first_line
from ._hdf5 import choose_dataset
from ._locations import Location
from ._marks import MARKS_KEY, Marks, read_marks
from ._missing import MissingChunks
from ._ome_zarr import axis_order, level_paths, multiscales, read_level
from ._units import normal_unit
from .volume import Triple, Volume, check_stack

_METADATA_FILES = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


class ZarrStack:
    """A Zarr array as (z, y, x), whatever its order; other axes have length 1 and are left out."""

    ndim = 3

    def __init__(self, array: Any, order: tuple[int, int, int], path: Location) -> None:
        self.array, self.order, self.path = array, order, path
        self.shape = tuple(int(array.shape[axis]) for axis in order)
        self.dtype = np.dtype(array.dtype).newbyteorder("=")

    def __getitem__(self, index: tuple[Any, Any, Any]) -> NDArray[Any]:
        where: list[Any] = [0] * len(self.array.shape)
        for axis, part in zip(self.order, index, strict=True):
            where[axis] = part
        try:
            block = np.asarray(self.array[tuple(where)], self.dtype)
        except Exception as error:  # codecs raise errors of many kinds
            raise TsainError(
                f"A chunk of {self.path.name} cannot be read ({first_line(error)}); needed is a "
                "complete volume: copy it again."
            ) from error
        kept = [a for a, part in zip(self.order, index, strict=True) if isinstance(part, slice)]
        return block.transpose([sorted(kept).index(axis) for axis in kept])


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
    return [f"{group}/{name}".strip("/") for name in level_paths(_scales(node, group) or {})]


def _open(path: Location) -> Any:
    try:
        return zarr.open(str(path), mode="r")
    except Exception as error:  # missing and damaged metadata raise errors of many kinds
        raise TsainError(
            f"{path.name} cannot be read as Zarr ({first_line(error)}); "
            "needed is a folder with valid metadata (zarr.json or .zarray): copy it again."
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
    level = read_level(multiscales(owner) or {}, path.name, level_name)
    array = _member(owner, level.path, path)
    if len(array.shape) != len(level.axes):
        raise TsainError(
            f"{path.name} names {len(level.axes)} axes for an array of {len(array.shape)} "
            f"({', '.join(level.axes)}); needed is a name for each: write it again."
        )
    marks = read_marks(dict(owner.attrs).get(MARKS_KEY), path.name)
    return _volume(
        array,
        axis_order(level.axes, path.name),
        path,
        level.axes,
        marks,
        voxel_size=level.voxel_size,
        unit=level.unit,
        offset=level.offset,
        format=f"OME-Zarr {'0.5' if _version(node) == 3 else '0.4'}",
        dataset="/".join(part for part in (group, level_name) if part) or None,
    )


def _member(group: Any, name: str, path: Location) -> Any:
    try:
        return group[name]
    except Exception as error:  # missing and damaged metadata raise errors of many kinds
        raise TsainError(
            f"The array {name!r} of {path.name} cannot be opened ({first_line(error)}); needed is "
            "each array that the metadata name: copy it again."
        ) from error


def _version(node: Any) -> int:
    metadata = getattr(node, "metadata", None)
    return int(getattr(metadata, "zarr_format", 2))


def _read_array(array: Any, path: Location, name: str | None) -> Volume:
    attributes = dict(array.attrs)
    unit = attributes.get("unit", attributes.get("units"))
    unit = unit[0] if isinstance(unit, list) and unit else unit
    marks = read_marks(attributes.get(MARKS_KEY), path.name)
    axes = getattr(getattr(array, "metadata", None), "dimension_names", None)
    axes = tuple(str(axis) for axis in axes or ())
    # names are free in Zarr v3: only those that name all three axes are believed
    named = set("zyx") <= set(axes) and len(axes) == len(array.shape)
    last = tuple(range(len(array.shape) - 3, len(array.shape)))
    order = axis_order(axes, path.name) if named else last
    # lists of three are in the order of the array's own axes
    turn = order if len(order) == len(array.shape) == 3 else (0, 1, 2)
    size = _triple(attributes.get("voxel_size", attributes.get("resolution")), turn)
    return _volume(
        array,
        order,
        path,
        axes if named else (),
        marks,
        voxel_size=size,
        # written by programs of the CREMI family, whose numbers are nanometres
        unit=normal_unit(unit) if unit else ("nanometer" if size else None),
        offset=_triple(attributes.get("offset"), turn) or (0.0, 0.0, 0.0),
        format=f"Zarr v{_version(array)}",
        dataset=name,
    )


def _volume(
    array: Any,
    order: tuple[int, ...],
    path: Location,
    axes: tuple[str, ...],
    marks: Marks,
    **known: Any,
) -> Volume:
    shape = tuple(array.shape)
    others = [axis for axis in range(len(shape)) if axis not in order]
    if min(order) < 0 or (not axes and any(shape[axis] != 1 for axis in others)):
        check_stack(shape, array.dtype, path.name)
    if many := [axis for axis in others if shape[axis] != 1]:
        found = ", ".join(f"{shape[axis]} along {axes[axis]}" for axis in many)
        raise TsainError(
            f"{path.name} has {found}; needed is one channel and time point: save that one."
        )
    z, y, x = order
    check_stack(tuple(shape[axis] for axis in order), array.dtype, path.name)
    stack = ZarrStack(array, (z, y, x), path)
    chunks = (int(array.chunks[z]), int(array.chunks[y]), int(array.chunks[x]))
    data = da.from_array(stack, chunks=chunks, name=False, meta=np.empty((0, 0, 0), stack.dtype))
    missing = MissingChunks(stack, chunks, getattr(array, "fill_value", 0))
    known |= marks.fields(data.shape[0], path.name)
    return Volume(data, source=str(path), missing_chunks=missing, **known)


def _triple(values: Any, order: Sequence[int]) -> Triple | None:
    if values is None or np.size(values) != 3:
        return None
    z, y, x = (float(values[axis]) for axis in order)
    return z, y, x
