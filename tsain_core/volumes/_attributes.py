"""Voxel size, unit and offset in the attributes of an array, as programs spell them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ._axes import axis_name
from ._units import is_length, normal_unit, offset_in, voxel_size_of
from .volume import Triple, VoxelSize

#: Names of attributes with a voxel size, less case, blanks and signs; a unit may follow.
_SIZE = re.compile(
    r"(?:resolutions?|(?:voxel|pixel|element|physical)(?:sizes?|spacings?)|spacings?|sampling)"
    r"(?P<axis>[zyx]?)(?:in)?(?P<unit>um|microns?|micrometers?|nm|nanometers?|angstroms?|mm)?"
)
_UNIT = re.compile(
    r"(?:(?:voxel|pixel|element|resolution|spacing|axis|dimension|spatial)(?:sizes?)?)?units?"
)
_NUMBER = re.compile(
    r"(?:(?P<axis>[zyx])\s*[=:]\s*)?(?P<number>[-+]?(?:nan|inf|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?))"
    r"\s*(?P<unit>[a-zμåäöé\"]*)(?!\s*[=:])",
    re.IGNORECASE,
)


def stated_geometry(
    attributes: Mapping[str, Any], names: Sequence[str], order: Sequence[int], ndim: int
) -> tuple[VoxelSize | None, str | None, Triple]:
    """Voxel size (z, y, x), its unit, and the offset in that unit.

    Parameters
    ----------
    attributes : mapping
    names : sequence of str
        Of all axes of the array; empty where they are not known.
    order : (z, y, x)
        Which axes of the array these are. Lists are in the order of the array's own axes, with or
        without those that are not z, y or x.
    ndim : int
        Of the array.

    Returns
    -------
    (voxel size, unit, offset)
        The unit is nanometres where only numbers are given, as programs of the CREMI family do.
    """
    axes = _Axes(names, tuple(order), ndim)
    units, given = _units(attributes, axes)
    sizes, own = _sizes(attributes, axes)
    if sizes is None:
        sizes, own = _tag_sizes(attributes, axes)
    fallback = None if given or sizes is None else "nanometer"
    each = [o or u or fallback for o, u in zip(own, units, strict=True)]
    size, unit = voxel_size_of(sizes or (None,) * 3, each)
    if unit is None and size == (1.0, 1.0, 1.0):
        size = None  # one pixel is one pixel: nothing is said
    values = {_folded(key): value for key, value in attributes.items()}
    offset = axes.three(_tokens(values.get("offset")))
    places = [number for number, _ in offset] if offset else [0.0] * 3
    return size, unit, offset_in(places, [unit] * 3, unit)


class _Axes:
    """The axes of an array, and how lists of values belong to them."""

    def __init__(self, names: Sequence[str], order: tuple[int, ...], ndim: int) -> None:
        self.names, self.order, self.ndim = [axis_name(n) for n in names], order, ndim

    def three(self, values: Sequence[Any] | Mapping[str, Any] | None) -> list[Any] | None:
        """Values of z, y and x: of a list for all axes, for the three, or of one value for all."""
        if values is None:
            return None
        if isinstance(values, Mapping):
            return [values.get(axis) for axis in "zyx"] if set(values) & set("zyx") else None
        if len(values) == self.ndim:
            return [values[axis] for axis in self.order]
        if len(values) == 3:
            return [values[sorted(self.order).index(axis)] for axis in self.order]
        return [values[0]] * 3 if len(values) == 1 else None


def _sizes(attributes: Mapping[str, Any], axes: _Axes) -> tuple[list[Any] | None, list[str | None]]:
    """Three sides and the units that stand with them."""
    nothing: list[str | None] = [None] * 3
    single: dict[str, tuple[Any, str | None]] = {}
    for key, value in attributes.items():
        match = _SIZE.fullmatch(_folded(key))
        if match is None:
            continue
        unit = normal_unit(match["unit"])
        tokens = _tokens(value)
        if match["axis"]:
            if tokens and not isinstance(tokens, Mapping) and len(tokens) == 1:
                single[match["axis"]] = tokens[0][0], tokens[0][1] or unit
            continue
        if found := axes.three(tokens):
            found = [token or (None, None) for token in found]
            return [number for number, _ in found], [own or unit for _, own in found]
    if single:
        parts = [single.get(axis, (None, None)) for axis in "zyx"]
        return [number for number, _ in parts], [unit for _, unit in parts]
    return None, nothing


def _tag_sizes(
    attributes: Mapping[str, Any], axes: _Axes
) -> tuple[list[Any] | None, list[str | None]]:
    """Sides in ilastik's axistags, where 0 stands for unknown."""
    nothing: list[str | None] = [None] * 3
    try:
        tags = json.loads(_text(attributes["axistags"]))["axes"]
        found = [tags[axis] for axis in axes.order]
        sides = [tag.get("resolution") or None for tag in found]
        units = [normal_unit(tag.get("unit") or tag.get("description")) for tag in found]
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, RecursionError):
        return None, nothing
    return (sides, [u if is_length(u) else None for u in units]) if any(sides) else (None, nothing)


def _units(attributes: Mapping[str, Any], axes: _Axes) -> tuple[list[str | None], bool]:
    """Units of z, y and x, and whether the attributes say any, be it "pixel"."""
    for key, value in attributes.items():
        if _UNIT.fullmatch(_folded(key)) is None:
            continue
        if isinstance(value, str) and value.strip()[:1] in ("{", "["):
            value = _json(value)
        if isinstance(value, (str, bytes)):
            texts: Any = re.split(r"[\s,;]+", _text(value).strip(" []()"))
            texts = texts if len(texts) in (3, axes.ndim) else [_text(value)]
        elif isinstance(value, Mapping):
            texts = {axis_name(k): v for k, v in value.items()}
        else:
            texts = [] if value is None else list(np.ravel(np.asarray(value, dtype=object)))
        found = axes.three(texts)
        if found is None and not isinstance(texts, Mapping) and texts:
            found = [texts[0]] * 3
        if found is not None and any(unit is not None for unit in found):
            return [normal_unit(unit) for unit in found], True
    return [None] * 3, False


def _tokens(value: Any) -> Any:
    """Numbers with the units that follow them, as a list, or by the names of axes."""
    if value is None:
        return None
    if isinstance(value, str) and value.strip()[:1] == "{":
        value = _json(value)
    if isinstance(value, Mapping):
        parts = {axis_name(key): _tokens(part) for key, part in value.items()}
        return {key: part[0] for key, part in parts.items() if part}
    if isinstance(value, (str, bytes)):
        return _parsed(_text(value))
    tokens: list[tuple[float, str | None]] = []
    for item in np.ravel(np.asarray(value, dtype=object)):
        if isinstance(item, (str, bytes)):
            found = _parsed(_text(item))
            if isinstance(found, Mapping) or len(found) != 1:
                return None
            tokens += found
        else:
            tokens.append((_number(item), None))
    return tokens


def _parsed(text: str) -> Any:
    """The numbers in a text such as "40 nm", "40,4,4", "40 x 4 x 4 nm" or "z=40 y=4 x=4"."""
    found = list(_matches(text))
    if not found:
        return []
    units = [normal_unit(match["unit"]) for match in found]
    if any(units) and not any(units[:-1]):
        units = [units[-1]] * len(units)  # "40 x 4 x 4 nm"
    numbers = [(_number(m["number"]), u) for m, u in zip(found, units, strict=True)]
    if all(match["axis"] for match in found):
        return {m["axis"].lower(): pair for m, pair in zip(found, numbers, strict=True)}
    return numbers


def _matches(text: str) -> Iterator[re.Match[str]]:
    # "x", "×" and "by" between numbers part them; what is left after a number is its unit
    text = re.sub(r"[\[\]()]", " ", text.lower().replace("µ", "μ"))
    text = re.sub(r"(?<=[\d\sa-zμ])(?:\s*[x×*]\s*|\s+by\s+)(?=[\d.])", " ", text)
    return _NUMBER.finditer(text)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _folded(key: Any) -> str:
    return re.sub(r"[^a-zμ]", "", str(key).lower().replace("µ", "μ")).replace("μm", "um")


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
