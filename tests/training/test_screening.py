"""What makes triplets fit to learn from: alignment, rejection, histogram specification."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tsain_core.errors import TsainError
from tsain_core.inference.intensity import IntensityRange
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.training import Augmentation, TripletSampler, TripletSource
from tsain_core.training.screening import (
    Screening,
    align_triplet,
    defective_share,
    equalise_slices,
    find_shift,
    specify_histograms,
)

PLAIN = Augmentation(0, 0, 0, 0)


@pytest.fixture(scope="module")
def stack() -> NDArray[np.uint8]:
    return em_phantom((8, 160, 160), seed=3)


def unit(stack: NDArray[np.uint8]) -> NDArray[np.float32]:
    return stack.astype(np.float32) / 255


@pytest.mark.parametrize("shift", [(0, 0), (5, -3), (-8, 8)])
def test_template_matching_finds_the_shift(
    stack: NDArray[np.uint8], shift: tuple[int, int]
) -> None:
    image = unit(stack)[2]
    dy, dx = shift
    template = image[20 + dy : 120 + dy, 20 + dx : 120 + dx]
    assert find_shift(image[10:130, 10:130], template) == shift


def test_alignment_takes_drift_out(stack: NDArray[np.uint8]) -> None:
    image = unit(stack)[2]
    drifting = np.stack([np.roll(image, s, (0, 1)) for s in ((4, -6), (0, 0), (-7, 2))])
    aligned = align_triplet(drifting, 8)
    assert aligned.shape == (3, 144, 144)
    np.testing.assert_array_equal(aligned[0], aligned[1])
    np.testing.assert_array_equal(aligned[2], aligned[1])


def test_good_triplets_pass(stack: NDArray[np.uint8]) -> None:
    rejected = [Screening().reject(unit(stack)[z : z + 3]) for z in range(6)]
    assert rejected == [None] * 6


@pytest.mark.parametrize("which", [0, 1, 2])
def test_damage_is_found(stack: NDArray[np.uint8], which: int) -> None:
    triplet = unit(stack)[1:4]
    empty = triplet.copy()
    empty[which, :64] = 0.9
    assert "defects" in str(Screening().reject(empty))
    blurred = triplet.copy()
    blurred[which] = gaussian_filter(blurred[which], 3)
    assert "sharpness" in str(Screening().reject(blurred))
    elsewhere = triplet.copy()
    elsewhere[which] = np.rot90(elsewhere[which], 2)
    assert "correlate" in str(replace(Screening(), continuity=0.2).reject(elsewhere))


def test_share_of_defects(stack: NDArray[np.uint8]) -> None:
    image = unit(stack)[0]
    assert defective_share(image) == 0
    image[:80] = 0.5
    assert defective_share(image) == pytest.approx(0.5, abs=0.02)
    assert defective_share(image[:4, :4]) == 0  # too small to tell


def test_rejected_triplets_are_replaced(stack: NDArray[np.uint8]) -> None:
    """A slice that is lost appears in no batch; without screening it does."""
    damaged = stack.copy()
    damaged[4] = 255
    kept = TripletSource(damaged, IntensityRange(0, 255), augmentation=PLAIN, screening=Screening())
    for source, lost in ((kept, False), (replace(kept, screening=None), True)):
        sampler = TripletSampler([source], crop=64, batch=4)
        white = [
            (part == 1).all((1, 2, 3)).any() for s in range(10) for part in sampler.batch_at(s)[:3]
        ]
        assert any(white) == lost


def test_aligned_source_keeps_its_crop_size(stack: NDArray[np.uint8]) -> None:
    drifting = np.stack([np.roll(stack[0], 3 * z, 0) for z in range(8)])
    source = TripletSource(
        drifting, IntensityRange(0, 255), augmentation=PLAIN, screening=Screening(align=6)
    )
    before, truth, after, _ = TripletSampler([source], crop=64, batch=4).batch_at(0)
    assert before.shape == (4, 1, 64, 64)
    assert (before == truth).float().mean() > 0.9
    assert (after == truth).float().mean() > 0.9
    with pytest.raises(TsainError, match="Choose a smaller crop"):
        TripletSampler([source], crop=152, batch=1)


def test_equal_slices_keep_their_structure(stack: NDArray[np.uint8]) -> None:
    """Mean and contrast become those of the stack; nothing else changes in a slice."""
    uneven = stack * np.linspace(0.5, 1, 8, dtype=np.float32)[:, None, None]
    uneven += np.arange(8, dtype=np.float32)[:, None, None] * 5
    even = equalise_slices(uneven)
    np.testing.assert_allclose(even.mean((1, 2)), np.median(uneven.mean((1, 2))), rtol=1e-4)
    np.testing.assert_allclose(even.std((1, 2)), np.median(uneven.std((1, 2))), rtol=1e-4)
    for a, b in zip(uneven, even, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_histograms_become_those_of_the_volume(
    stack: NDArray[np.uint8], dtype: type[np.generic]
) -> None:
    uneven = (stack.astype(np.float32) * np.linspace(0.5, 1, 8)[:, None, None]).astype(dtype)
    even = specify_histograms(uneven)
    assert even.dtype == dtype
    assert np.ptp(uneven.mean((1, 2))) > 20 > 4 > np.ptp(even.mean((1, 2)))
    for a, b in zip(uneven, even, strict=True):  # monotone: the order of grey values stays
        order = np.argsort(a, axis=None)
        assert (np.diff(b.reshape(-1)[order].astype(float)) >= -1e-3).all()
    with pytest.raises(TsainError, match="expected a volume"):
        specify_histograms(uneven[0])
