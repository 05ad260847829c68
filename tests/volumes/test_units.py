"""Units of length: spellings, and several in one."""

from __future__ import annotations

import pytest

from tsain_core.volumes import normal_unit
from tsain_core.volumes._units import OME_SYMBOLS, in_one_unit


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("nm", "nanometer"),
        ("Nanometres", "nanometer"),
        ("um", "micrometer"),
        ("\u00b5m", "micrometer"),  # micro sign
        ("\u03bcm", "micrometer"),  # Greek mu
        ("\\u00B5m", "micrometer"),  # as ImageJ writes it
        ("microns", "micrometer"),
        ("\u212b", "angstrom"),  # the sign for angstrom
        ("Angstrom", "angstrom"),
        ("cm", "centimeter"),
        ("pixels", None),
        (" ", None),
        (None, None),
        ("furlong", "furlong"),
    ],
)
def test_spellings(unit: str | None, name: str | None) -> None:
    assert normal_unit(unit) == name


@pytest.mark.parametrize(("name", "symbol"), OME_SYMBOLS.items())
def test_symbols_mean_what_they_stand_for(name: str, symbol: str) -> None:
    assert normal_unit(symbol) == normal_unit(name) == name


def test_in_one_unit() -> None:
    mixed = in_one_unit((0.05, 40.0, 4.0), ("micrometer", "angstrom", "nanometer"))
    assert mixed == (pytest.approx((50.0, 4.0, 4.0)), "nanometer")
    assert in_one_unit((2.0, 1.0, 1.0), (None, None, None)) == ((2.0, 1.0, 1.0), None)
    assert in_one_unit((2.0, 1.0, 1.0), ("nanometer", None, None)) is None
    assert in_one_unit((2.0, 1.0, 1.0), ("furlong", "nanometer", "nanometer")) is None
