"""N5: Fiji's, BigDataViewer's and Janelia's folders of blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TsainError
from ._attributes import stated_geometry
from ._axes import named_axes
from ._datasets import choose_dataset
from ._guard import reading
from ._tensorstore import (
    NUMBERED,
    StoredArray,
    chunk_grid,
    positive_integers,
    read_metadata,
    stored_volume,
)
from .volume import Volume

_FILE = "attributes.json"
_DEEPEST = 8  # groups within groups
_LEVEL = re.compile(r"s(\d+)")


def is_n5(path: Path) -> bool:
    """Whether a folder is an N5 container or dataset."""
    return path.suffix.lower() == ".n5" or (path / _FILE).is_file()


def n5_datasets(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Path inside the container -> (shape, dtype) of each dataset.

    Shapes are listed as (z, y, x): N5 itself lists x first.
    """
    return {
        name: (tuple(attributes["dimensions"])[::-1], str(attributes.get("dataType")))
        for name, attributes in sorted(_datasets(path))
    }


def read_n5(path: Path, dataset: str | None = None) -> Volume:
    """Open a dataset of an N5 container; of several levels the finest.

    Raises
    ------
    TsainError
        If it is not clear which is meant, TensorStore is missing, or it is no grey stack.
    """
    found = n5_datasets(path)
    if not found and "dimensions" not in read_metadata(path / _FILE, path.name):
        raise TsainError(
            f"{path.name} holds no N5 dataset; a folder with a dataset's attributes.json is "
            "required: check the name, or copy it again."
        )
    name = choose_dataset(path.name, found, dataset, _finest(found)) if found else ""
    folder = path / name
    with reading(path.name, "N5"):
        attributes = read_metadata(folder / _FILE, path.name)
        shape = positive_integers(attributes["dimensions"])
        array = StoredArray(
            folder,
            {"driver": "n5", "kvstore": {"driver": "file", "path": f"{folder.resolve()}/"}},
            shape,
            positive_integers(attributes["blockSize"], len(shape)),
            np.dtype(str(attributes["dataType"])),
            (0,) * len(shape),
            f"{path.name}/{name}" if name else path.name,
        )
        names = named_axes(attributes, len(shape)) or ("x", "y", "z", "c", "t")[: len(shape)]
        values = _with_sizes(attributes, path, name)

        def geometry(order: tuple[int, int, int]) -> Any:
            return stated_geometry(values, names, order, len(shape))

        stored = chunk_grid(array, _place)
        return stored_volume(
            array, names, stored, geometry, path, format="N5", dataset=name or None
        )


def _datasets(
    folder: Path, prefix: str = "", depth: int = _DEEPEST
) -> Iterator[tuple[str, dict[str, Any]]]:
    attributes = read_metadata(folder / _FILE, folder.name)
    if "dimensions" in attributes:
        if prefix:
            yield prefix, attributes
        return  # what lies below are blocks
    if depth:
        for child in sorted(p for p in folder.iterdir() if p.is_dir()):
            yield from _datasets(child, f"{prefix}/{child.name}".strip("/"), depth - 1)


def _finest(found: Mapping[str, Any]) -> str | None:
    """The level s0 of the only image with levels."""
    levels = [name for name in found if _LEVEL.fullmatch(name.rpartition("/")[2])]
    finest = [name for name in levels if name.rpartition("/")[2] == "s0"]
    return finest[0] if len(finest) == 1 and len(levels) == len(found) else None


def _place(name: str) -> tuple[int, ...] | None:
    parts = name.split("/")
    return tuple(map(int, parts)) if all(map(NUMBERED.fullmatch, parts)) else None


def _with_sizes(attributes: dict[str, Any], path: Path, name: str) -> dict[str, Any]:
    """Attributes with the voxel size in one place: their own, or that of a group above."""
    folder, values = path / name, attributes
    factors: Any = attributes.get("downsamplingFactors")
    level = _LEVEL.fullmatch(name.rpartition("/")[2])
    for _ in range(len(Path(name).parts) + 1):
        if size := _stated(values):
            if values is not attributes:
                scales = values.get("scales")
                if factors is None and level and isinstance(scales, list):
                    factors = scales[int(level[1])] if int(level[1]) < len(scales) else None
                if factors is None and level and int(level[1]):
                    return attributes  # a coarser level whose factor is not known
                factors = factors or [1] * len(size["resolution"])
                size["resolution"] = [
                    s * f for s, f in zip(size["resolution"], factors, strict=True)
                ]
            return {**attributes, **size}
        if folder == path:
            break
        folder = folder.parent
        values = read_metadata(folder / _FILE, folder.name)
    return attributes


def _stated(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Resolution and unit, in the order x, y, z."""
    found = values.get("pixelResolution")
    if isinstance(found, Mapping):
        sizes, unit = found.get("dimensions"), found.get("unit")
    else:
        sizes = found or values.get("resolution")
        unit = values.get("units", values.get("unit"))
    if not isinstance(sizes, list) or not all(isinstance(s, (int, float)) for s in sizes):
        return None
    return {"resolution": sizes, **({"units": unit} if unit else {})}
