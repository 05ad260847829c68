"""Scores against their definitions, worked out in another way where there is one."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from numpy.typing import NDArray

from tsain_core.evaluation.metrics import Scores, mean_scores, score
from tsain_core.inference.models.baselines import blurred


@pytest.fixture(scope="module")
def truth() -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    smooth = blurred(rng.normal(size=(64, 80)).astype(np.float32), 3)
    grey = 128 + 300 * smooth + rng.normal(scale=12, size=smooth.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def test_identity_is_perfect(truth: NDArray[np.uint8]) -> None:
    scores = score(truth.astype(np.float32), truth)
    assert scores.psnr == scores.structure == float("inf")
    assert scores.ssim == pytest.approx(1)
    assert scores.ie == 0
    assert scores.sharpness == pytest.approx(1)


def test_a_step_of_ten_grey_levels() -> None:
    truth = np.full((32, 32), 100, np.uint8)
    truth[::2] = 120
    scores = score(truth.astype(np.float32) + 10, truth)
    assert scores.psnr == pytest.approx(20 * np.log10(255 / 10))
    assert scores.structure == pytest.approx(scores.psnr)
    assert scores.ie == pytest.approx(10)
    assert scores.sharpness == pytest.approx(1)


def test_prediction_is_rounded_and_clipped(truth: NDArray[np.uint8]) -> None:
    assert score(truth.astype(np.float32) + 0.4, truth).ie == 0
    white = np.full((16, 16), 255, np.uint8)
    assert score(np.full((16, 16), 300, np.float32), white).ie == 0


def test_ssim_is_a_gaussian_window_of_eleven_taps(truth: NDArray[np.uint8]) -> None:
    from scipy.ndimage import correlate1d

    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def window(image: NDArray[np.float64]) -> NDArray[np.float64]:
        return correlate1d(correlate1d(image, taps, axis=0), taps, axis=1)

    prediction = blurred(truth.astype(np.float32), 1)
    a, b = np.rint(prediction).astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = window(a), window(b)
    var_a, var_b = window(a * a) - mean_a**2, window(b * b) - mean_b**2
    cov = window(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ssim = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    ssim /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert score(prediction, truth).ssim == pytest.approx(ssim[5:-5, 5:-5].mean(), abs=1e-6)


def test_blur_lowers_sharpness_and_noise_spares_structure(truth: NDArray[np.uint8]) -> None:
    soft = score(blurred(truth.astype(np.float32), 2), truth)
    assert soft.sharpness < 0.1
    noise = np.random.default_rng(0).normal(scale=20, size=truth.shape)
    noisy = score((truth + noise).astype(np.float32), truth)
    assert noisy.sharpness > 1
    assert noisy.structure > noisy.psnr + 8


def test_wrong_shapes_are_refused(truth: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        score(truth[:-1].astype(np.float32), truth)
    with pytest.raises(ValueError, match="11 x 11"):
        score(np.zeros((10, 40), np.float32), np.zeros((10, 40), np.uint8))


def test_mean_scores() -> None:
    mean = mean_scores([Scores(10, 12, 0.1, 30, 0.5), Scores(20, 14, 0.3, 10, 1.5)])
    assert astuple(mean) == pytest.approx((15, 13, 0.2, 20, 1))
    with pytest.raises(ValueError, match="at least one"):
        mean_scores([])
