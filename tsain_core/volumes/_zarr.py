"""Zarr arrays and groups, OME-Zarr multiscales 0.4 (Zarr v2) and 0.5 (Zarr v3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import zarr
from numpy.typing import NDArray

from ..errors import TsainError, first_line
from ._hdf5 import choose_dataset
from ._marks import MARKS_KEY, marks_from_json
from .volume import Triple, Volume, check_stack, normal_unit

_METADATA_FILES = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


class ZarrStack:
    """A Zarr array as (z, y, x), leading axes of length 1 left out."""

    ndim = 3

    def __init__(self, array: Any, path: Path) -> None:
        self.array, self.path = array, path
        self.shape = tuple(int(n) for n in array.shape[-3:])
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        self._lead = (0,) * (len(array.shape) - 3)

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[Any]:
        try:
            return np.asarray(self.array[self._lead + tuple(index)], self.dtype)
        except Exception as error:  # codecs raise errors of many kinds
            raise TsainError(
                f"A chunk of {self.path.name} cannot be read ({error}); needed is a complete "
                "volume: copy it again."
            ) from error


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group, or says by its name that it should be."""
    return path.suffix == ".zarr" or any((path / name).is_file() for name in _METADATA_FILES)


def zarr_datasets(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
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


def read_zarr(path: Path, dataset: str | None = None) -> Volume:
    """Open a Zarr array, or the array or multiscale image of a group.

    Raises
    ------
    TsainError
        If metadata are missing or damaged, it is not clear which array is meant, or it is no grey
        stack.
    """
    node = _open(path)
    if isinstance(node, zarr.Group):
        name, scales = _choose(node, path, dataset)
        if scales is not None:
            return _read_multiscale(node, name, scales, path)
        return _read_array(node[name], path, name)
    if dataset:
        raise TsainError(f"{path.name} is a single array; leave out --dataset {dataset}.")
    return _read_array(node, path, None)


def _open(path: Path) -> Any:
    try:
        return zarr.open(str(path), mode="r")
    except Exception as error:  # missing and damaged metadata raise errors of many kinds
        raise TsainError(
            f"{path.name} cannot be read as Zarr ({first_line(error)}); "
            "needed is a folder with valid metadata (zarr.json or .zarray): copy it again."
        ) from error


def _multiscales(node: Any) -> Mapping[str, Any] | None:
    attributes = dict(node.attrs)
    scales = dict(attributes.get("ome", {})).get("multiscales", attributes.get("multiscales"))
    return scales[0] if scales else None


def _choose(node: Any, path: Path, dataset: str | None) -> tuple[str, Mapping[str, Any] | None]:
    """(name of group or array, its multiscales if it has them)."""
    name = (dataset or "").strip("/")
    if not name:
        if scales := _multiscales(node):
            return "", scales
        if "0" in node and isinstance(node["0"], zarr.Group) and _multiscales(node["0"]):
            return "0", _multiscales(node["0"])  # as bioformats2raw lays images out
    elif (
        name in node
        and isinstance(node[name], zarr.Group)
        and (scales := _multiscales(node[name])) is not None
    ):
        return name, scales
    return choose_dataset(path.name, zarr_datasets(path), dataset), None


def _read_multiscale(node: Any, name: str, scales: Mapping[str, Any], path: Path) -> Volume:
    try:
        level = scales["datasets"][0]
        inner = f"{name}/{level['path']}".strip("/")
        array = node[inner]
        axes = [a if isinstance(a, dict) else {"name": a} for a in scales["axes"]]
        names = "".join(str(a["name"]) for a in axes)
        transforms = level.get("coordinateTransformations", [])
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise TsainError(
            f"The OME-Zarr metadata of {path.name} are incomplete ({error!r}); needed are axes, "
            "datasets and the arrays they name: write it again."
        ) from error
    lead = len(names) - 3
    if not names.endswith("zyx") or len(array.shape) != len(names):
        raise TsainError(
            f"{path.name} has axes {names or '(none)'} and shape {array.shape}; needed are axes "
            "that end in zyx."
        )
    if any(n != 1 for n in array.shape[:lead]):
        raise TsainError(
            f"{path.name} has {array.shape[:lead]} along {names[:lead]}; needed is one channel "
            "and time point: save that one."
        )
    parts = {t["type"]: tuple(float(v) for v in t.get(t["type"], ())[-3:]) for t in transforms}
    size, offset = parts.get("scale"), parts.get("translation", (0.0, 0.0, 0.0))
    owner = node[name] if name else node
    marks = marks_from_json(dict(owner.attrs).get(MARKS_KEY))
    units = {normal_unit(a.get("unit")) for a in axes[-3:]}
    return _volume(
        array,
        path,
        voxel_size=size if size and len(size) == 3 else None,  # type: ignore[arg-type]
        unit=units.pop() if len(units) == 1 else None,
        offset=offset,  # type: ignore[arg-type]
        synthetic=marks.synthetic,
        provenance=marks.provenance,
        format=f"OME-Zarr {'0.5' if _version(node) == 3 else '0.4'}",
        dataset=name or None,
    )


def _version(node: Any) -> int:
    metadata = getattr(node, "metadata", None)
    return int(getattr(metadata, "zarr_format", 2))


def _read_array(array: Any, path: Path, name: str | None) -> Volume:
    attributes = dict(array.attrs)
    size = _triple(attributes.get("voxel_size", attributes.get("resolution")))
    unit = attributes.get("unit", attributes.get("units"))
    unit = unit[0] if isinstance(unit, list) and unit else unit
    marks = marks_from_json(attributes.get(MARKS_KEY))
    return _volume(
        array,
        path,
        voxel_size=size,
        # written by programs of the CREMI family, whose numbers are nanometres
        unit=normal_unit(unit) if unit else ("nanometer" if size else None),
        offset=_triple(attributes.get("offset")) or (0.0, 0.0, 0.0),
        synthetic=marks.synthetic,
        provenance=marks.provenance,
        format=f"Zarr v{_version(array)}",
        dataset=name,
    )


def _volume(array: Any, path: Path, **known: Any) -> Volume:
    shape = tuple(array.shape)
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    check_stack(shape, array.dtype, path.name)
    stack = ZarrStack(array, path)
    data = da.from_array(
        stack, chunks=tuple(array.chunks[-3:]), name=False, meta=np.empty((0, 0, 0), stack.dtype)
    )
    return Volume(data, source=str(path), **known)


def _triple(values: Any) -> Triple | None:
    if values is None or np.size(values) != 3:
        return None
    z, y, x = (float(v) for v in values)
    return z, y, x
