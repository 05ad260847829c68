"""Triplets: where they come from, that held-out slices stay out, what augmentation does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tsain_core.errors import TsainError
from tsain_core.inference.intensity import IntensityRange
from tsain_core.training import Augmentation, TripletSampler, TripletSource
from tsain_core.training.augment import augment

UNIT = IntensityRange(0, 255)
PLAIN = Augmentation(0, 0, 0, 0)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1, 2)])
def test_held_out_slices_never_leak(axes: tuple[int, ...]) -> None:
    """The held-out block is painted with a value that no batch may contain, whatever the axis."""
    array = np.zeros((40, 48, 48), np.float32)
    source = TripletSource(array, UNIT, axes, (1, 2, 3), 1.0, replace(PLAIN, shift=2))
    training, held = source.split(0.2)
    assert len(training.array) + len(held.array) == len(array)
    held.array[:] = 255
    sampler = TripletSampler([training], crop=24, batch=4)
    for step in range(60):
        for part in sampler.batch_at(step)[:3]:
            assert not part.any()
    for triplet in held.fixed(24):
        assert (triplet == 1).all()


def test_triplets_are_evenly_spaced() -> None:
    array = np.broadcast_to(np.arange(20, dtype=np.float32)[:, None, None], (20, 32, 32)).copy()
    sampler = TripletSampler(
        [TripletSource(array, IntensityRange(0, 1), spacings=(2, 3), augmentation=PLAIN)], 16, 4
    )
    spacings = set()
    for step in range(20):
        before, truth, after = (t[:, 0, 0, 0] for t in sampler.batch_at(step)[:3])
        torch.testing.assert_close(truth - before, after - truth)
        spacings |= set((truth - before).abs().tolist())
    assert spacings == {2.0, 3.0}


def test_batches_depend_on_seed_and_step_alone() -> None:
    array = RNG.integers(0, 255, (10, 40, 40), np.uint8)
    source = TripletSource(array, UNIT, augmentation=Augmentation(noise=(0.1, 0.1)))
    a, b = (TripletSampler([source], 16, 3, seed=5) for _ in range(2))
    list(map(b.batch_at, range(5)))
    for x, y in zip(a.batch_at(7), b.batch_at(7), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)
    other = TripletSampler([source], 16, 3, seed=6)
    assert (a.batch_at(7)[0] != other.batch_at(7)[0]).any()
    assert (a.batch_at(7)[0] != a.batch_at(8)[0]).any()


def test_weights_share_the_batches() -> None:
    unit = IntensityRange(0, 1)
    arrays = [np.full((5, 20, 20), value, np.float32) for value in (0, 1)]
    sources = [
        TripletSource(array, unit, weight=weight, augmentation=PLAIN)
        for array, weight in zip(arrays, (1.0, 3.0), strict=True)
    ]
    sampler = TripletSampler(sources, 16, 8)
    share = np.mean([sampler.batch_at(s)[1].mean().item() for s in range(60)])
    assert share == pytest.approx(0.75, abs=0.08)


def test_volumes_that_are_too_small() -> None:
    thin = TripletSource(np.zeros((5, 20, 20), np.uint8), UNIT)
    with pytest.raises(TsainError, match="5 slices.*at least 6"):
        thin.split()
    with pytest.raises(TsainError, match="smaller crop"):
        TripletSampler([thin], crop=24, batch=1)


def test_noise_and_contrast_of_outer_slices_leave_the_truth() -> None:
    image = np.full((3, 32, 32), 0.5, np.float32)
    a = replace(PLAIN, slice_contrast=0.2, slice_brightness=0.2, noise=(0.1, 0.1))
    out, _ = augment(image, a, RNG)
    assert (out[1] == 0.5).all()
    for i in (0, 2):
        assert out[i].std() == pytest.approx(0.1, rel=0.15)
        assert abs(out[i].mean() - 0.5) > 1e-3
    assert out[0].mean() != out[2].mean()


def test_symmetries_keep_the_values() -> None:
    triplet = RNG.random((3, 8, 8), np.float32)
    seen = set()
    for _ in range(200):
        out, reverse = augment(triplet, PLAIN, RNG)
        np.testing.assert_allclose(np.sort(out[1].ravel()), np.sort(triplet[1].ravel()), rtol=1e-6)
        first = triplet[2 if reverse else 0]
        np.testing.assert_allclose(np.sort(out[0].ravel()), np.sort(first.ravel()), rtol=1e-6)
        seen.add(out[:2].tobytes())
    assert len(seen) == 16  # 8 symmetries of the square, each forwards and backwards in z


def test_drift_moves_outer_slices_apart() -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32), (3, 64, 64)).copy()
    source = TripletSource(ramp, IntensityRange(0, 1), augmentation=replace(PLAIN, shift=5))
    shifts = set()
    for seed in range(40):
        (a, b, c), position = source.draw(np.random.default_rng(seed), 32)
        assert position == 0.5
        np.testing.assert_allclose(a + c, 2 * b, atol=1e-4)
        shifts.add(float(np.abs(a - b).max()))
    assert max(shifts) == 5
