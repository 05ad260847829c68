"""Baselines: what they must do by construction, and the published table on the real stacks."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from tsain_core.evaluation.metrics import mean_scores, score
from tsain_core.inference.models.baselines import blurred, mean_of_neighbours, optical_flow

# Stack -> (method, sigma of the blur) -> PSNR, structure, SSIM, IE, sharpness, as published.
TABLE = {
    "validate/isbi2012_train.tif": {
        ("mean", 0): (14.77, 18.40, 0.082, 37.6, 0.54),
        ("flow", 0): (14.90, 18.38, 0.098, 36.8, 0.29),
        ("mean", 2): (15.66, 18.74, 0.114, 34.2, 0.01),
        ("flow", 2): (15.68, 18.77, 0.125, 33.9, 0.01),
    },
    "validate/sbem_050-059.tif": {
        ("mean", 0): (16.50, 23.71, 0.170, 30.1, 0.50),
        ("flow", 0): (17.07, 23.93, 0.195, 28.1, 0.16),
        ("mean", 1): (17.54, 23.75, 0.206, 26.7, 0.01),
        ("mean", 2): (17.59, 23.68, 0.189, 26.6, 0.00),
        ("flow", 1): (17.63, 24.02, 0.212, 26.3, 0.00),
        ("flow", 2): (17.70, 24.04, 0.196, 26.2, 0.00),
    },
}
METHODS = {"mean": mean_of_neighbours, "flow": optical_flow}


def _texture(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    smooth = blurred(noise, 3)
    return np.clip(0.5 + smooth / (6 * smooth.std()), 0, 1).astype(np.float32)


@pytest.mark.em_data
@pytest.mark.parametrize("name", TABLE)
def test_published_table(em_data: Path, name: str) -> None:
    """Every triplet, central 512 x 512."""
    stack = tifffile.imread(em_data / name)
    top, left = ((n - 512) // 2 for n in stack.shape[1:])
    stack = stack[:, top : top + 512, left : left + 512]
    scores: dict[tuple[str, int], list[object]] = {key: [] for key in TABLE[name]}
    for z in range(1, len(stack) - 1):
        before, after = (stack[i].astype(np.float32) / np.float32(255) for i in (z - 1, z + 1))
        plain = {method: function(before, after) for method, function in METHODS.items()}
        for method, sigma in scores:
            image = blurred(plain[method], sigma) if sigma else plain[method]
            scores[method, sigma].append(score(image * 255, stack[z]))
    for key, published in TABLE[name].items():
        found = astuple(mean_scores(scores[key]))
        for value, wanted, tolerance in zip(
            found, published, (0.02, 0.02, 0.002, 0.1, 0.01), strict=True
        ):
            assert value == pytest.approx(wanted, abs=tolerance), key


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_ends_are_the_slices(method: str, fraction: float) -> None:
    before, after = _texture((64, 72)), np.roll(_texture((64, 72)), 2, axis=1)
    wanted = before if fraction == 0 else after
    result = METHODS[method](before, after, fraction)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_flow_follows_a_shift(fraction: float) -> None:
    """A texture that moves 8 pixels to the right is found at its share of the way."""
    wide = _texture((128, 160))
    before, after = wide[:, 16:144], wide[:, 8:136]
    offset = round(16 - 8 * fraction)
    truth = wide[:, offset : offset + 128]
    inner = np.s_[16:-16, 16:-16]
    flow = np.abs(optical_flow(before, after, fraction) - truth)[inner].mean()
    mean = np.abs(mean_of_neighbours(before, after, fraction) - truth)[inner].mean()
    assert flow < 0.02
    assert flow < 0.2 * mean


def test_images_too_small_for_flow_are_averaged() -> None:
    before, after = _texture((12, 40)), _texture((12, 40), seed=1)
    np.testing.assert_array_equal(
        optical_flow(before, after, 0.25), mean_of_neighbours(before, after, 0.25)
    )


def test_blur_keeps_the_mean_and_lowers_the_variance() -> None:
    image = _texture((64, 64))
    soft = blurred(image, 4)
    assert soft.dtype == np.float32
    assert soft.mean() == pytest.approx(image.mean(), abs=0.02)
    assert soft.var() < 0.5 * image.var()
