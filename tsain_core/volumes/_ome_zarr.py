"""The multiscales metadata of OME-Zarr: a level, its axes, and where its voxels lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import TsainError
from ._units import in_one_unit, normal_unit
from .volume import Triple


@dataclass(frozen=True)
class Level:
    """An array of a multiscale image."""

    path: str
    #: names of the axes of the array
    axes: tuple[str, ...]
    voxel_size: Triple | None
    unit: str | None
    offset: Triple


def multiscales(node: Any) -> Mapping[str, Any] | None:
    """The first multiscales object of a group, of OME-Zarr 0.5 or before."""
    attributes = dict(node.attrs)
    ome = attributes.get("ome")
    scales = (ome if isinstance(ome, dict) else attributes).get("multiscales")
    return scales[0] if isinstance(scales, list) and scales else None


def level_paths(scales: Mapping[str, Any]) -> list[str]:
    """Paths of the levels, the finest first."""
    return [str(d["path"]) for d in scales.get("datasets", []) if "path" in d]


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
        level = next(d for d in scales["datasets"] if path in (None, str(d["path"])))
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
        place = [offset[axis] for axis in order]
        if size is None:
            return Level(str(level["path"]), names, None, None, _triple(place))
        sizes = in_one_unit([size[axis] for axis in order], units)
        moves = in_one_unit(place, units)
    except (KeyError, TypeError, IndexError, ValueError, StopIteration, AttributeError) as error:
        if isinstance(error, TsainError):
            raise
        raise TsainError(
            f"The OME-Zarr metadata of {name} are incomplete ({error!r}); needed are axes, "
            "datasets and the arrays they name: write it again."
        ) from error
    if sizes is None or moves is None:
        return Level(str(level["path"]), names, None, None, (0.0, 0.0, 0.0))
    return Level(str(level["path"]), names, _triple(sizes[0]), sizes[1], _triple(moves[0]))


def axis_order(names: Sequence[str], title: str) -> tuple[int, int, int]:
    """Where z, y and x are among the axes of an array.

    Raises
    ------
    TsainError
        If one of them is not named.
    """
    found = [str(n).lower() for n in names]
    if any(found.count(axis) != 1 for axis in "zyx"):
        raise TsainError(
            f"{title} has axes {', '.join(found) or '(none)'}; needed are z, y and x: save a "
            "stack whose axes are named so."
        )
    return found.index("z"), found.index("y"), found.index("x")


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


def _triple(values: Sequence[float]) -> Triple:
    z, y, x = values
    return z, y, x
