"""Units of length: as OME and UDUNITS spell them, and several made one."""

from __future__ import annotations

from collections.abc import Sequence

#: Metres in a unit, by its full name.
_METRES = {
    "picometer": 1e-12,
    "angstrom": 1e-10,
    "nanometer": 1e-9,
    "micrometer": 1e-6,
    "millimeter": 1e-3,
    "centimeter": 1e-2,
    "meter": 1.0,
    "inch": 0.0254,
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

_SPELLINGS = {
    **{symbol.lower(): name for name, symbol in OME_SYMBOLS.items()},
    "a": "angstrom",
    "ångström": "angstrom",
    "um": "micrometer",
    "μm": "micrometer",  # Greek mu; the micro sign is among the symbols
    "\\u00b5m": "micrometer",  # as ImageJ writes it
    "micron": "micrometer",
    "inches": "inch",
    "pixel": "",
    "px": "",
    "reference frame": "",
}


def normal_unit(unit: str | None) -> str | None:
    """A unit as OME spells it; None for none, and for pixels."""
    if unit is None or not unit.strip():
        return None
    name = unit.strip().lower()
    for spelling in (name, name.removesuffix("s"), name.replace("metre", "meter").rstrip("s")):
        if spelling in _METRES:
            return spelling
        if spelling in _SPELLINGS:
            return _SPELLINGS[spelling] or None
    return name


def in_one_unit(
    values: Sequence[float], units: Sequence[str | None]
) -> tuple[tuple[float, ...], str | None] | None:
    """Lengths (z, y, x) with a unit each, in the unit of x; None where they cannot be compared."""
    unit = units[-1]
    if len(set(units)) == 1:
        return tuple(values), unit
    if unit is None or any(u not in _METRES for u in units):
        return None
    return tuple(
        value if u == unit else value * _METRES[str(u)] / _METRES[unit]
        for value, u in zip(values, units, strict=True)
    ), unit


def unit_symbol(unit: str | None) -> str:
    """Short, for people: "nm"; the unit as it is where no symbol is known, empty for none."""
    return OME_SYMBOLS.get(unit or "", unit or "")
