"""WEBKNOSSOS datasets whose layers are Zarr or N5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import TsainError
from ._datasets import choose_dataset
from ._guard import reading
from ._n5 import read_n5
from ._tensorstore import read_metadata
from ._units import normal_unit, voxel_size_of
from ._zarr import read_named_array
from .volume import Volume

_FILE = "datasource-properties.json"
_REMEDY = "convert it to Zarr with WEBKNOSSOS's command-line tool (webknossos convert-to-zarr)"


@dataclass(frozen=True)
class Magnification:
    """One resolution of a layer: where it lies, as what, and its factors (x, y, z)."""

    path: str
    format: str
    factors: tuple[float, float, float]
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    grey: bool


def is_webknossos(path: Path) -> bool:
    """Whether a folder is a WEBKNOSSOS dataset."""
    return (path / _FILE).is_file()


def webknossos_datasets(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """layer/magnification -> (shape (z, y, x), dtype)."""
    return {name: (found.shape, found.dtype) for name, found in _magnifications(path).items()}


def read_webknossos(path: Path, dataset: str | None = None) -> Volume:
    """Open a layer: the finest magnification of the only image, or the one that is named.

    Raises
    ------
    TsainError
        If it is not clear which is meant, it is stored as WKW or elsewhere, or is no grey stack.
    """
    with reading(path.name, "WEBKNOSSOS"):
        found = _magnifications(path)
        if dataset is not None and dataset.strip("/") not in found:
            finest = _finest({n: m for n, m in found.items() if n.startswith(f"{dataset}/")})
            dataset = finest or dataset
        grey = {name: one for name, one in found.items() if one.grey}
        layers = {name.rpartition("/")[0] for name in grey}
        preferred = _finest(grey) if len(layers) == 1 else None
        name = choose_dataset(path.name, webknossos_datasets(path), dataset, preferred)
        one, sides, unit = found[name], *_voxel_size(path)
        folder = _inside(path, one, name)
        size, unit = voxel_size_of(
            [side and side * factor for side, factor in zip(sides, one.factors, strict=True)][::-1],
            [unit] * 3,
        )
        if one.format == "n5":
            volume = replace(read_n5(folder), voxel_size=size, unit=unit)
        elif one.format in ("zarr", "zarr3"):
            volume = read_named_array(folder, one.axes, voxel_size=size, unit=unit)
        else:
            raise TsainError(
                f"{path.name}/{name} is stored as {one.format}; Zarr or N5 is required: {_REMEDY}."
            )
    return replace(volume, source=str(path), format="WEBKNOSSOS", dataset=name)


def _magnifications(path: Path) -> dict[str, Magnification]:
    found: dict[str, Magnification] = {}
    with reading(path.name, "WEBKNOSSOS"):
        for layer in read_metadata(path / _FILE, path.name).get("dataLayers", ()):
            name, box = str(layer["name"]), layer.get("boundingBox") or {}
            ends = [
                int(start) + int(box[side])
                for start, side in zip(box["topLeft"], ("width", "height", "depth"), strict=True)
            ]
            for mag in layer.get("mags") or layer.get("wkwResolutions") or ():
                value = mag.get("mag", mag.get("resolution"))
                x, y, z = value if isinstance(value, list) else (value,) * 3
                short = "-".join(f"{n}" for n in ((x, y, z) if {x, y, z} != {x} else (x,)))
                order: Mapping[str, int] = mag.get("axisOrder") or {}
                found[f"{name}/{short}"] = Magnification(
                    str(mag.get("path") or f"{name}/{short}"),
                    str(layer.get("dataFormat", "wkw")).lower(),
                    (float(x), float(y), float(z)),
                    tuple(sorted(order, key=lambda axis: order[axis])) or ("c", "x", "y", "z"),
                    tuple(-(-end // int(f)) for end, f in zip(ends, (x, y, z), strict=True))[::-1],
                    str(layer.get("elementClass")),
                    layer.get("category", "color") == "color",
                )
    return found


def _finest(found: Mapping[str, Magnification]) -> str | None:
    def factor(name: str) -> float:
        x, y, z = found[name].factors
        return x * y * z

    return min(found, key=factor) if found else None


def _voxel_size(path: Path) -> tuple[list[Any], str | None]:
    """(x, y, z) and their unit: nanometres where none stands with them."""
    scale = read_metadata(path / _FILE, path.name).get("scale")
    if isinstance(scale, Mapping):
        return list(scale["factor"]), normal_unit(scale.get("unit", "nanometer"))
    return list(scale or (None, None, None)), "nanometer"


def _inside(path: Path, one: Magnification, name: str) -> Path:
    folder = path / one.path
    if "://" in one.path or not folder.resolve().is_relative_to(path.resolve()):
        raise TsainError(
            f"{path.name} keeps {name} at {one.path}, outside its folder, which is not followed: "
            "give that place itself."
        )
    return folder
