"""The multiscales metadata of OME-Zarr: a level, its axes, and where its voxels lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import TsainError
from ._axes import axis_order
from ._units import normal_unit, offset_in, stated, voxel_size_of
from .volume import Triple, VoxelSize


@dataclass(frozen=True)
class Level:
    """An array of a multiscale image."""

    path: str
    #: names of the axes of the array
    axes: tuple[str, ...]
    voxel_size: VoxelSize | None
    unit: str | None
    offset: Triple


def multiscales(node: Any) -> Mapping[str, Any] | None:
    """The first multiscales object of a group, of OME-Zarr 0.5 or before."""
    attributes = dict(node.attrs)
    ome = attributes.get("ome")
    scales = (ome if isinstance(ome, dict) else attributes).get("multiscales")
    return scales[0] if isinstance(scales, list) and scales else None


def level_paths(scales: Mapping[str, Any]) -> list[str]:
    """Paths of the levels, the finest first, as the specification lists them or not."""
    levels = [d for d in scales.get("datasets", []) if "path" in d]
    sides = [_pixel_area(level) for level in levels]
    if None not in sides:
        levels = [levels[i] for i in sorted(range(len(levels)), key=lambda i: sides[i] or 0.0)]
    return [str(level["path"]) for level in levels]


def has_ordered_scales(scales: Mapping[str, Any]) -> bool:
    """Whether the scales of the levels tell which is finer."""
    sides = [_pixel_area(d) for d in scales.get("datasets", []) if "path" in d]
    return None not in sides and len(set(sides)) == len(sides)


def _pixel_area(level: Mapping[str, Any]) -> float | None:
    """Product of a level's scale, to compare levels by; None where it is not stated."""
    scales = [
        [side for value in transform["scale"] if (side := stated(value))]
        for transform in level.get("coordinateTransformations", [])
        if transform.get("type") == "scale"
    ]
    return math.prod(map(math.prod, scales)) if scales and all(scales) else None


def read_level(scales: Mapping[str, Any], name: str, path: str | None = None) -> Level:
    """A level, the finest by default.

    Parameters
    ----------
    scales : mapping
        A multiscales object.
    name : str
        Of the image, for errors.
    path : str, optional
        Of the level.

    Raises
    ------
    TsainError
        If the metadata are incomplete.
    """
    try:
        wanted = path or level_paths(scales)[0]
        level = next(d for d in scales["datasets"] if str(d["path"]) == wanted)
        axes = [a if isinstance(a, dict) else {"name": a} for a in scales["axes"]]
        names = tuple(str(a["name"]) for a in axes)
        size, offset = _scale_and_move(
            [
                *level.get("coordinateTransformations", []),
                *scales.get("coordinateTransformations", []),
            ],
            len(names),
        )
        order = axis_order(names, name)
        units = [normal_unit(axes[axis].get("unit")) for axis in order]
        sides, unit = voxel_size_of([size[axis] if size else None for axis in order], units)
        if unit is None and sides == (1.0, 1.0, 1.0):
            sides = None  # a scale must be there: without a unit, 1 says nothing
        place = offset_in([offset[axis] for axis in order], units, unit)
    except (KeyError, TypeError, IndexError, ValueError, StopIteration, AttributeError) as error:
        if isinstance(error, TsainError):
            raise
        raise TsainError(
            f"The OME-Zarr metadata of {name} are incomplete ({error!r}); expected axes, "
            "datasets and the arrays they name: write it again."
        ) from error
    return Level(str(level["path"]), names, sides, unit, place)


def _scale_and_move(
    transforms: Sequence[Mapping[str, Any]], axes: int
) -> tuple[list[float] | None, list[float]]:
    """One scale and translation for several, applied in their order."""
    size, move, scaled = [1.0] * axes, [0.0] * axes, False
    for transform in transforms:
        values = [float(v) for v in transform.get(transform["type"], ())]
        if transform["type"] == "scale" and len(values) == axes:
            size = [a * b for a, b in zip(size, values, strict=True)]
            move = [a * b for a, b in zip(move, values, strict=True)]
            scaled = True
        elif transform["type"] == "translation" and len(values) == axes:
            move = [a + b for a, b in zip(move, values, strict=True)]
        elif transform["type"] != "identity":
            raise ValueError(f"transformation {transform['type']} of {len(values)} values")
    return (size if scaled else None), move
