"""Grey values to [0, 1] and back."""

from __future__ import annotations

import numpy as np
import pytest

from tsain_core.errors import TsainError
from tsain_core.inference.intensity import IntensityRange, Scaling, estimate_range

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_integers_come_back_exactly(dtype: str) -> None:
    limits = np.iinfo(dtype)
    image = RNG.integers(limits.min, limits.max, (50, 60), dtype, endpoint=True)
    r = IntensityRange(float(limits.min) + 3, float(limits.max) - 7)
    back = r.from_unit(r.to_unit(image), dtype)
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, image)


def test_floats_come_back_nearly() -> None:
    image = (RNG.standard_normal((50, 60)) * 1e3).astype(np.float32)
    r = IntensityRange(-500.0, 2000.0)
    np.testing.assert_allclose(r.from_unit(r.to_unit(image), np.float32), image, atol=1e-3)


def test_rounding_and_limits() -> None:
    image = np.array([[-3.0, 0.49 / 255, 0.51 / 255, 1.0, 9.0]], np.float32)
    assert IntensityRange(0, 255).from_unit(image, np.uint8).tolist() == [[0, 0, 1, 255, 255]]
    seen = IntensityRange(10, 20, least=8, most=23)
    assert seen.from_unit(np.array([[-9.0, 9.0]], np.float32), np.uint8).tolist() == [[8, 23]]


def test_estimate_is_robust_and_knows_the_extremes() -> None:
    volume = RNG.normal(100, 10, (20, 64, 64))
    volume[3, 5, 5], volume[0, 0, 0] = 1e6, -1e6  # hot pixels
    r = estimate_range(volume)
    assert 50 < r.lo < 90
    assert 110 < r.hi < 150
    assert (r.least, r.most) == (-1e6, 1e6)


@pytest.mark.parametrize("transform", ["inverted", "stretched"])
def test_range_follows_the_data(transform: str) -> None:
    volume = RNG.normal(100, 10, (4, 64, 64))
    changed = 255 - volume if transform == "inverted" else volume * 200 + 1000
    a, b = estimate_range(volume), estimate_range(changed)
    if transform == "inverted":
        assert (b.lo, b.hi) == pytest.approx((255 - a.hi, 255 - a.lo))
    else:
        assert (b.lo, b.hi) == pytest.approx((a.lo * 200 + 1000, a.hi * 200 + 1000))


def test_constant_and_nan_volumes() -> None:
    r = estimate_range(np.full((3, 8, 8), 7, np.uint8))
    assert (r.lo, r.hi) == (6.5, 7.5)
    assert (r.from_unit(r.to_unit(np.full((8, 8), 7)), np.uint8) == 7).all()
    volume = np.full((3, 8, 8), np.nan, np.float32)
    with pytest.raises(TsainError, match="No finite grey value"):
        estimate_range(volume)
    volume[1] = np.arange(64).reshape(8, 8)
    assert estimate_range(volume).most == 63


def test_few_bright_pixels_do_not_collapse_the_range() -> None:
    volume = np.zeros((3, 100, 100), np.uint8)
    volume[1, 0, 0] = 200
    assert (estimate_range(volume).lo, estimate_range(volume).hi) == (0, 200)


@pytest.mark.parametrize(("lo", "hi"), [(1, 1), (2, 1), (np.nan, 1), (0, np.inf)])
def test_impossible_ranges(lo: float, hi: float) -> None:
    with pytest.raises(TsainError, match="low before high"):
        IntensityRange(lo, hi)


def test_a_fixed_range_is_for_eight_bits() -> None:
    grey = np.random.default_rng(0).integers(90, 150, (3, 32, 32))
    fixed = Scaling(fixed=(0.0, 255.0))
    eight = estimate_range(grey.astype(np.uint8), fixed)
    assert (eight.lo, eight.hi, eight.least, eight.most) == (0, 255, 90, 149)
    for dtype in (np.uint16, np.int16, np.float32):
        volume = (grey * 100).astype(dtype)
        assert estimate_range(volume, fixed) == estimate_range(volume)
    constant = np.full((3, 8, 8), 7, np.uint8)
    assert (estimate_range(constant, fixed).lo, estimate_range(constant, fixed).hi) == (0, 255)
