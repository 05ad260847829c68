"""Neuroglancer's precomputed volumes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ._datasets import choose_dataset
from ._guard import reading
from ._tensorstore import StoredArray, chunk_grid, positive_integers, read_metadata, stored_volume
from ._units import offset_in, voxel_size_of
from .volume import Volume

_FILE = "info"
_NAMES = ("x", "y", "z", "c")
_BOX = re.compile(r"(\d+)-(\d+)_(\d+)-(\d+)_(\d+)-(\d+)(?:\.gz)?")


def is_precomputed(path: Path) -> bool:
    """Whether a folder has the `info` file of a precomputed volume."""
    try:
        info = path / _FILE
        return info.is_file() and b'"scales"' in info.read_bytes()[: 1 << 20]
    except OSError:
        return False


def precomputed_scales(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Key of each scale -> (shape (z, y, x), dtype)."""
    info = read_metadata(path / _FILE, path.name)
    dtype = str(info.get("data_type"))
    return {str(s["key"]): (tuple(s["size"])[::-1], dtype) for s in info["scales"]}


def read_precomputed(path: Path, dataset: str | None = None) -> Volume:
    """Open a precomputed volume: its finest scale, or the one that `dataset` names by its key.

    Raises
    ------
    TsainError
        If TensorStore is missing, or it is no grey stack.
    """
    with reading(path.name, "Neuroglancer precomputed"):
        info = read_metadata(path / _FILE, path.name)
        scales = list(info["scales"])
        by_size = sorted(scales, key=lambda s: float(np.prod([float(r) for r in s["resolution"]])))
        finest = str(by_size[0]["key"])
        key = choose_dataset(path.name, precomputed_scales(path), dataset, finest)
        number, scale = next((i, s) for i, s in enumerate(scales) if str(s["key"]) == key)
        folder = path / key
        if not folder.resolve().is_relative_to(path.resolve()):
            raise TsainError(
                f"{path.name} keeps its scale {key!r} outside its folder, which is not followed: "
                "move it into the folder and mend the key."
            )
        shape = (*positive_integers(scale["size"], 3), int(info["num_channels"]))
        origin = [int(v) for v in scale.get("voxel_offset", (0, 0, 0))]
        array = StoredArray(
            folder,
            {
                "driver": "neuroglancer_precomputed",
                "kvstore": {"driver": "file", "path": f"{path.resolve()}/"},
                "scale_index": number,
            },
            shape,
            (*positive_integers(scale["chunk_sizes"][0], 3), max(1, shape[3])),
            np.dtype(str(info["data_type"])),
            (*origin, 0),
            f"{path.name}/{key}",
        )
        sizes = [float(r) for r in scale["resolution"]]

        def geometry(order: tuple[int, int, int]) -> Any:
            units: list[str | None] = ["nanometer"] * 3  # by the format
            size, unit = voxel_size_of([sizes[axis] for axis in order], units)
            places = [origin[axis] * sizes[axis] for axis in order]
            return size, unit, offset_in(places, units, unit)

        stored = None if scale.get("sharding") else _stored(array, origin)
        return stored_volume(
            array, _NAMES, stored, geometry, path, format="Neuroglancer precomputed", dataset=key
        )


def _stored(array: StoredArray, origin: list[int]) -> NDArray[np.bool_] | None:
    def place(name: str) -> tuple[int, ...] | None:
        box = _BOX.fullmatch(name)
        if box is None:
            return None
        starts = [int(box[i]) - o for i, o in zip((1, 3, 5), origin, strict=True)]
        if any(s % c for s, c in zip(starts, array.chunks, strict=False)):
            return None
        return (*(s // c for s, c in zip(starts, array.chunks, strict=False)), 0)

    return chunk_grid(array, place)
