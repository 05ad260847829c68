"""Training triplets drawn from ranges of imaging conditions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tsain_core.inference.intensity import IntensityRange
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.training import TripletSampler, TripletSource
from tsain_core.training.regimes import Regimes, change_grey_values, draw_regime

#: Every condition off.
OFF = Regimes(
    binning=(1, 1),
    resampled=0.0,
    gaps=(2, 2),
    middle=1.0,
    noisy=0.0,
    grained=0.0,
    blurred=0.0,
    gamma=(1.0, 1.0),
    inverted=0.0,
    contrast=0.0,
    brightness=0.0,
    slice_contrast=0.0,
    slice_brightness=0.0,
    drifting=0.0,
    same=0.0,
    finer=0.0,
)

#: Pairs of a triplet whose truth is near the first slice: ever further apart.
PAIRS = ((0, 1), (1, 2), (0, 2))


@pytest.fixture(scope="module")
def stack() -> NDArray[np.uint8]:
    return em_phantom((16, 160, 160), seed=5)


def ramp(depth: int = 30, side: int = 64) -> NDArray[np.float32]:
    """Grey value = number of the slice."""
    return np.broadcast_to(np.arange(depth, dtype=np.float32)[:, None, None], (depth, side, side))


def draws(stack: NDArray, regimes: Regimes, n: int = 40, crop: int = 32, isotropic: bool = False):  # type: ignore[type-arg,no-untyped-def]
    for seed in range(n):
        yield draw_regime(stack, isotropic, regimes, np.random.default_rng(seed), crop)


def test_all_off_is_a_crop_of_three_slices(stack: NDArray[np.uint8]) -> None:
    triplet, position = next(draws(stack, OFF))
    windows = np.lib.stride_tricks.sliding_window_view(stack, (3, 32, 32))[:, :, :, :, ::31, ::31]
    corners = triplet[:, ::31, ::31]
    assert position == 0.5
    assert (windows == corners).all((3, 4, 5)).any()
    rng = np.random.default_rng(0)
    unchanged = change_grey_values(triplet / 255, 0.5, OFF, rng)
    np.testing.assert_allclose(unchanged, triplet / 255, rtol=1e-6)


def test_positions_say_where_the_truth_lies() -> None:
    """On a ramp along z the truth is the weighted mean of the outer slices."""
    regimes = replace(OFF, gaps=(2, 12), middle=0.3, resampled=0.5, binning=(1, 2))
    seen = set()
    for triplet, position in draws(ramp(), regimes, 80, crop=16, isotropic=True):
        a, b, c = triplet[:, 8, 8]
        assert b == pytest.approx(a + position * (c - a), abs=1e-3)
        assert a < b < c
        seen.add(round(position, 4))
    assert {0.5, 0.3333, 0.6667} <= seen
    assert len(seen) > 8


def test_binning_takes_the_grain_away(stack: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(0).normal(0, 1, (9, 160, 160)).astype(np.float32)
    for by in (2, 4):
        spreads = [t.std() for t, _ in draws(noise, replace(OFF, binning=(by, by)), 10, crop=32)]
        assert np.mean(spreads) == pytest.approx(1 / by, rel=0.1)
    thick = [t.std() for t, _ in draws(noise, replace(OFF, binning=(3, 3)), 30, isotropic=True)]
    assert min(thick) < 0.22 < 0.3 < max(thick)  # along z, too, in some


def test_resampled_slices_move_together(stack: NDArray[np.uint8]) -> None:
    """Turned, zoomed and deformed alike: three copies of a slice stay the same."""
    copies = np.repeat(stack[:1], 5, 0)
    for triplet, _ in draws(copies, replace(OFF, resampled=1.0), 20, crop=64):
        np.testing.assert_array_equal(triplet[0], triplet[1])
        np.testing.assert_array_equal(triplet[2], triplet[1])
        assert triplet.std() > 10
    drifted = replace(OFF, resampled=1.0, drifting=1.0)
    assert any((t[0] != t[1]).any() for t, _ in draws(copies, drifted, 20, crop=64))
    for triplet, _ in draws(copies, replace(OFF, drifting=1.0), 20, crop=64):  # whole pixels
        assert np.isin(triplet[0], stack[0]).all()


def test_the_same_slice_three_times_stays_without_noise(stack: NDArray[np.uint8]) -> None:
    regimes = replace(OFF, same=1.0, noisy=1.0, slice_contrast=0.3, blurred=1.0, drifting=1.0)
    rng = np.random.default_rng(0)
    for triplet, position in draws(stack, regimes, 10):
        assert position == 0.5
        changed = change_grey_values(triplet / 255, 0.5, regimes, rng)
        np.testing.assert_array_equal(changed[0], changed[1])
        np.testing.assert_array_equal(changed[2], changed[1])


def test_finer_steps_share_their_grain() -> None:
    """Slices less than one apart are weighted means: exactly on a ramp, and alike in noise."""
    regimes = replace(OFF, finer=1.0)
    for triplet, position in draws(ramp(), regimes, 20, isotropic=True):
        a, b, c = triplet[:, 8, 8]
        assert position == 0.5
        assert b == pytest.approx((a + c) / 2, abs=1e-4)
        assert 0.6 <= c - a <= 1.8
    noise = np.random.default_rng(0).normal(0, 1, (20, 64, 64)).astype(np.float32)
    alike = [
        np.corrcoef(t[0].ravel(), t[1].ravel())[0, 1] for t, _ in draws(noise, regimes, 40, 32)
    ]
    assert max(alike) > 0.5


def test_noise_is_added_to_the_outer_slices_alone() -> None:
    regimes = replace(OFF, noisy=1.0, noise=(0.1, 0.1))
    triplet = np.full((3, 64, 64), 0.5, np.float32)
    triplet[0], triplet[2] = 0.49, 0.51
    for seed in range(8):
        out = change_grey_values(triplet.copy(), 0.5, regimes, np.random.default_rng(seed))
        assert (out[1] == 0.5).all()
        for i in (0, 2):
            assert out[i].std() == pytest.approx(0.1, rel=0.2)


def test_grain_goes_on_from_slice_to_slice() -> None:
    """Neighbours share more of it than slices further apart, and all have the same strength."""
    regimes = replace(OFF, grained=1.0, grain=(0.1, 0.1))
    triplet = np.full((3, 96, 96), 0.5, np.float32)
    triplet[2] += 1e-3  # not three times the same slice
    alike = []
    for seed in range(20):
        out = change_grey_values(triplet, 0.25, regimes, np.random.default_rng(seed)) - 0.5
        spreads = out.std((1, 2))
        assert spreads == pytest.approx([0.1] * 3, rel=0.15)
        near, far, widest = (np.corrcoef(out[i].ravel(), out[j].ravel())[0, 1] for i, j in PAIRS)
        assert near > far - 0.03 and far > widest - 0.03
        alike.append(near)
    assert min(alike) < 0.9 < max(alike)
    assert (triplet[:2] == 0.5).all()


def test_small_volumes_and_shallow_ones() -> None:
    """Conditions that a volume has no room for are left out; crops keep their size."""
    regimes = Regimes(gaps=(2, 24), resampled=1.0, drifting=1.0)
    for triplet, position in draws(ramp(3, 32), regimes, 20, crop=32, isotropic=True):
        assert triplet.shape == (3, 32, 32)
        assert 0 < position < 1


def test_batches_hold_positions_and_reverse_them_with_the_slices() -> None:
    source = TripletSource(
        ramp(), IntensityRange(0, 30), (0,), regimes=replace(OFF, gaps=(3, 3), middle=0.0)
    )
    before, truth, after, at = TripletSampler([source], 16, 16).batch_at(0)
    a, b, c = (t[:, 0, 0, 0] for t in (before, truth, after))
    np.testing.assert_allclose(b, a + at * (c - a), atol=1e-6)
    assert (a > c).any() and (a < c).any()


def test_a_jump_of_one_slice_moves_the_truth_half_as_far() -> None:
    """Grey value and contrast; how much lies between the outer slices' by where the truth lies."""
    regimes = replace(OFF, jumping=1.0, jump=0.2, jump_contrast=0.3)
    rng = np.random.default_rng(0)
    triplet = np.repeat(rng.uniform(0.4, 0.6, (1, 64, 64)), 3, 0).astype(np.float32)
    triplet[2, 0, 0] += 0.01  # not three times the same slice
    changed = set()
    for seed in range(12):
        out = change_grey_values(triplet.copy(), 0.25, regimes, np.random.default_rng(seed))
        moved = [float(out[i].mean() - triplet[i].mean()) for i in range(3)]
        (which,) = (i for i in (0, 2) if np.abs(out[i] - triplet[i]).max() > 1e-6)
        nearness = {0: 0.75, 2: 0.25}[which]
        assert moved[1] == pytest.approx(nearness * moved[which], abs=2e-3)
        spread = [out[i].std() / triplet[i].std() - 1 for i in range(3)]
        assert spread[1] == pytest.approx(nearness * spread[which], abs=0.02)
        changed.add(which)
    assert changed == {0, 2}
