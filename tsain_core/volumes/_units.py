"""Units of length, and voxel sizes: what files say of them, in one unit and free of nonsense."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ..errors import TsainError
from .volume import Triple, Volume, VoxelSize

#: Metres in a unit, by its full name; as fractions, so that 0.04 micrometres are 40 nanometres.
_METRES = {
    "picometer": Fraction("1e-12"),
    "angstrom": Fraction("1e-10"),
    "nanometer": Fraction("1e-9"),
    "micrometer": Fraction("1e-6"),
    "millimeter": Fraction("1e-3"),
    "centimeter": Fraction("1e-2"),
    "meter": Fraction(1),
    "inch": Fraction("0.0254"),
}

#: Symbols that OME-XML allows.
OME_SYMBOLS = {
    "picometer": "pm",
    "angstrom": "Å",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "in",
}


def _folded(text: str) -> str:
    """Lower case, with one spelling for signs that Unicode has twice (micro, angstrom)."""
    return unicodedata.normalize("NFKC", text).strip().lower()


_SPELLINGS = {
    **{_folded(symbol): name for name, symbol in OME_SYMBOLS.items()},
    "a": "angstrom",
    "ang": "angstrom",
    "ångström": "angstrom",
    "ångstrom": "angstrom",
    "nano": "nanometer",
    "um": "micrometer",
    "\\u00b5m": "micrometer",  # as ImageJ writes it
    "âμm": "micrometer",  # UTF-8 read as Latin-1
    "micron": "micrometer",
    "inche": "inch",  # the plural, less its s
    '"': "inch",
}

#: What programs write where they know no unit.
_NO_UNIT = {
    "",
    "-",
    "?",
    "pixel",
    "px",
    "pix",
    "voxel",
    "vx",
    "none",
    "null",
    "nan",
    "n/a",
    "na",
    "unknown",
    "undefined",
    "unit",
    "dimensionless",
    "arbitrary",
    "a.u.",
    "reference frame",
}


def normal_unit(unit: Any) -> str | None:
    """A unit as OME spells it; None for none, and for pixels.

    An unknown unit stays as it is, in lower case: `is_length` tells it from the others.
    """
    if isinstance(unit, bytes):
        unit = unit.decode(errors="replace")
    if not isinstance(unit, str):
        return None
    name = re.sub(r"\s*(/|per)\s*(px|pixel|voxel|vx)s?$", "", _folded(unit).strip("[]() "))
    for spelling in (name, name.removesuffix("s"), name.replace("metre", "meter").rstrip("s")):
        if spelling in _NO_UNIT:
            return None
        if spelling in _METRES:
            return spelling
        if spelling in _SPELLINGS:
            return _SPELLINGS[spelling]
    return name


def is_length(unit: str | None) -> bool:
    """Whether a unit, as `normal_unit` gives it, can be compared with others."""
    return unit in _METRES


def stated(value: Any) -> float | None:
    """A voxel's side, or None for what none can have: not finite, zero, negative, no number."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def checked_size(values: Sequence[float | None]) -> VoxelSize:
    """A voxel size (z, y, x) as it is stated: positive finite numbers, or None for unknown.

    Raises
    ------
    TsainError
    """
    sides = [None if value is None else stated(value) for value in values]
    given = [value is not None for value in values]
    if len(sides) != 3 or [side is not None for side in sides] != given:
        text = " ".join("unknown" if value is None else f"{value}" for value in values)
        raise TsainError(
            f"The voxel size {text} cannot be; three positive numbers are required: give z, y, x."
        )
    z, y, x = sides
    return z, y, x


def with_size(
    volume: Volume, voxel_size: Sequence[float] | None = None, unit: str | None = None
) -> Volume:
    """A stack with the voxel size (z, y, x) and unit that its file lacks, or has wrong.

    Raises
    ------
    TsainError
        If a number is not finite or not positive.
    """
    if voxel_size is not None:
        volume = replace(volume, voxel_size=checked_size(voxel_size))
    return replace(volume, unit=normal_unit(unit)) if unit else volume


def voxel_size_of(
    values: Sequence[Any], units: Sequence[str | None]
) -> tuple[VoxelSize | None, str | None]:
    """A voxel size in one unit, from what a file says of each axis.

    Parameters
    ----------
    values : three values (z, y, x)
        Whatever is no positive finite number counts as not stated.
    units : three units (z, y, x), as `normal_unit` gives them

    Returns
    -------
    (voxel size, unit)
        None for an axis that is not stated, or whose unit cannot be compared with the others';
        None in all where no axis is known. The unit is that of x if x is known, else y's or z's.
    """
    sides = [stated(value) for value in values]
    known = [u for s, u in zip(sides[::-1], list(units)[::-1], strict=True) if s is not None]
    if not known:
        return None, None
    unit = next((u for u in known if is_length(u)), known[0])
    z, y, x = (
        None if side is None else converted(side, u, unit)
        for side, u in zip(sides, units, strict=True)
    )
    return (z, y, x), unit


def offset_in(values: Sequence[Any], units: Sequence[str | None], unit: str | None) -> Triple:
    """A position (z, y, x) in a unit; 0 along an axis where it cannot be told."""
    moved = []
    for value, own in zip(values, units, strict=True):
        try:
            number = converted(float(value), own, unit)
        except (TypeError, ValueError, OverflowError):
            number = None
        moved.append(number if number is not None and math.isfinite(number) else 0.0)
    z, y, x = moved
    return z, y, x


def converted(value: float, unit: str | None, into: str | None) -> float | None:
    """A length in another unit; None where one of the units is no length."""
    if unit == into:
        return value
    if unit is None or into is None or not (is_length(unit) and is_length(into)):
        return None
    return float(Fraction(value) * _METRES[unit] / _METRES[into])


def in_one_unit(
    values: Sequence[float], units: Sequence[str | None]
) -> tuple[tuple[float, ...], str | None] | None:
    """Lengths (z, y, x) with a unit each, in the unit of x; None where they cannot be compared."""
    unit = units[-1]
    lengths = [converted(value, own, unit) for value, own in zip(values, units, strict=True)]
    if any(value is None for value in lengths):
        return None
    return tuple(value for value in lengths if value is not None), unit


def unit_symbol(unit: str | None) -> str:
    """Short, for people: "nm"; the unit as it is where no symbol is known, empty for none."""
    return OME_SYMBOLS.get(unit or "", unit or "")
