"""Fine detail of the real slices on computed ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace

from tsain_core.errors import TsainError
from tsain_core.inference.detail import REACH, add_detail
from tsain_core.inference.models import InferenceSettings, NetworkModel, open_model
from tsain_core.interpolation.interpolate import SliceReady, interpolate
from tsain_core.interpolation.schedule import by_factor
from tsain_core.sample_data.phantom import em_phantom

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0.5, 0.1, (2, 64, 64)).astype(np.float32)
SOFT = np.full((64, 64), 0.5, np.float32)


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of a slice, or of slices."""
    return float(np.mean([laplace(i.astype(float)).var() for i in np.atleast_3d(image.T).T]))


def test_nothing_is_added_without_a_share() -> None:
    assert add_detail(SOFT, *NOISE, Fraction(1, 2), 0.0) is SOFT


@pytest.mark.parametrize("fraction", [Fraction(1, 8), Fraction(1, 2), Fraction(3, 4)])
def test_as_much_detail_at_every_position(fraction: Fraction) -> None:
    """That of a real slice, whatever lies where: both slices' grain is independent here."""
    sharp = add_detail(SOFT, *NOISE, fraction, 1.0)
    detail = NOISE[0] - gaussian_filter(NOISE[0], 1.0)
    assert sharp.std() == pytest.approx(detail.std(), rel=0.05)
    assert sharp.dtype == np.float32


def test_what_is_sharp_already_gets_nothing() -> None:
    """Here the computed slice has the grain of real ones, or half of it."""
    grain = RNG.normal(0.5, 0.1, (64, 64)).astype(np.float32)
    np.testing.assert_array_equal(add_detail(grain, *NOISE, Fraction(1, 2), 0.6), grain)
    half = 0.5 + 0.5 * (grain - 0.5)
    for share in (0.7, 1.0):
        sharp = add_detail(half, *NOISE, Fraction(1, 2), share)
        detail = sharp - gaussian_filter(sharp, 1.0)
        real = NOISE[0] - gaussian_filter(NOISE[0], 1.0)
        assert detail.std() == pytest.approx(share * real.std(), rel=0.08)


def test_detail_that_both_slices_have_is_not_doubled() -> None:
    sharp = add_detail(SOFT, NOISE[0], NOISE[0], Fraction(1, 2), 1.0)
    detail = NOISE[0] - gaussian_filter(NOISE[0], 1.0)
    assert sharp.std() == pytest.approx(detail.std(), rel=0.05)


def test_grey_values_at_larger_scales_stay() -> None:
    sharp = add_detail(SOFT, *NOISE, Fraction(1, 2), 1.0)
    assert abs(gaussian_filter(sharp, 3) - SOFT).max() < 0.01


def test_no_pixel_depends_on_others_beyond_its_reach() -> None:
    """So that blocks of a blockwise run agree."""
    whole = add_detail(SOFT, *NOISE, Fraction(1, 2), 0.7)
    part = np.s_[10:60, 4:54]
    cut = add_detail(SOFT[part], NOISE[0][part], NOISE[1][part], Fraction(1, 2), 0.7)
    inside = np.s_[REACH:-REACH, REACH:-REACH]
    np.testing.assert_array_equal(cut[inside], whole[part][inside])


def test_slices_are_computed_from_soft_ones() -> None:
    """At 1/4 the network sees the slice at 1/2 without detail; real slices stay as they are."""
    stack = em_phantom((2, 64, 64), seed=1)
    images = {}
    for share in (0.0, 0.9):
        model = open_model("tsain-lite", InferenceSettings("cpu", detail=share))
        events = interpolate(stack, by_factor(2, 4), model)
        images[share] = [e.image for e in events if isinstance(e, SliceReady)]
        assert isinstance(model, NetworkModel)
        assert ("detail" in model.provenance()) == (share > 0)
    soft, sharp = images[0.0], images[0.9]
    for z in (0, 4):
        np.testing.assert_array_equal(soft[z], stack[z // 4])
        np.testing.assert_array_equal(sharp[z], stack[z // 4])
    for z in (1, 2, 3):
        assert sharpness(soft[z]) < 0.4 * sharpness(stack)
        assert 0.5 < sharpness(sharp[z]) / sharpness(stack) < 1.1
        difference = gaussian_filter(sharp[z].astype(float) - soft[z], 3)
        assert abs(difference).mean() < 1, "only fine detail differs"


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_shares_that_make_no_sense(share: float) -> None:
    with pytest.raises(TsainError, match="from 0 to 1"):
        InferenceSettings(detail=share)
