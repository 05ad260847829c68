"""The generated stack: the same everywhere, and like EM in what can be measured."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tsain_core.errors import TsainError
from tsain_core.sample_data.phantom import em_phantom


@pytest.fixture(scope="module")
def stack() -> NDArray[np.uint8]:
    return em_phantom((12, 256, 256))


def _correlation(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    return float(np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1])


def test_same_voxels_on_every_machine() -> None:
    small = em_phantom((5, 64, 72), seed=7)
    assert small.shape == (5, 64, 72)
    assert small.dtype == np.uint8
    digest = hashlib.sha256(small.tobytes()).hexdigest()
    assert digest.startswith("15975420f4756276")


def test_seeds_differ() -> None:
    a, b = (em_phantom((2, 64, 64), seed=seed) for seed in (0, 1))
    assert abs(_correlation(a, b)) < 0.3


def test_grey_values_are_those_of_a_stained_section(stack: NDArray[np.uint8]) -> None:
    assert 110 < stack.mean() < 165
    assert 35 < stack.std() < 55
    low, high = np.percentile(stack, [1, 99])
    assert 25 < low < 75
    assert 195 < high < 250
    assert np.mean((stack == 0) | (stack == 255)) < 0.005
    # Bright cytosol and dark membranes: skewed to the dark side, as real stacks are.
    assert np.median(stack) > stack.mean() + 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_neighbours_are_alike_but_not_too_much(seed: int) -> None:
    stack = em_phantom((12, 256, 256), seed=seed)
    nearest = [_correlation(a, b) for a, b in zip(stack[:-1], stack[1:], strict=True)]
    assert 0.4 < np.mean(nearest) < 0.7
    assert min(nearest) > 0.35
    second = [_correlation(a, b) for a, b in zip(stack[:-2], stack[2:], strict=True)]
    assert 0.1 < np.mean(second) < np.mean(nearest) - 0.08


def test_structures_go_on_in_z(stack: NDArray[np.uint8]) -> None:
    """Cut finely, slices approach each other: nothing but the noise jumps."""
    depths = 5 + np.array([0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1])
    fine = [
        gaussian_filter(s.astype(float), 2)
        for s in em_phantom(stack.shape, z_positions=depths.tolist())
    ]
    likeness = [_correlation(fine[0], s) for s in fine[1:]]
    assert likeness[0] > 0.9
    assert all(near > far for near, far in zip(likeness[:-1], likeness[1:], strict=True))


def test_a_slice_does_not_depend_on_what_else_is_cut(stack: NDArray[np.uint8]) -> None:
    alone = em_phantom(stack.shape, z_positions=[7, 3.5])
    np.testing.assert_array_equal(alone[0], stack[7])
    between = em_phantom(stack.shape, z_positions=[3.5])
    np.testing.assert_array_equal(alone[1], between[0])


def test_noise_and_jitter() -> None:
    shape = (6, 128, 128)
    clean = em_phantom(shape, noise=0).astype(float)
    noisy = em_phantom(shape, noise=20).astype(float)
    assert (noisy - clean).std() == pytest.approx(20, rel=0.25)
    assert abs((noisy - clean).mean()) < 1
    steady = em_phantom(shape, noise=0).astype(float).std(axis=(1, 2))
    jittered = em_phantom(shape, noise=0, contrast_jitter=0.2).astype(float).std(axis=(1, 2))
    assert np.std(jittered / steady) > 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (4, 8, 64)}, "16 x 16"),
        ({"shape": (64, 64)}, "16 x 16"),
        ({"shape": (4, 64, 64), "z_positions": [3.5]}, "from 0 to 3"),
        ({"shape": (4, 64, 64), "z_positions": [float("nan")]}, "from 0 to 3"),
        ({"shape": (4, 64, 64), "seed": -1}, "no negative"),
        ({"shape": (4, 64, 64), "z_step": 0}, "z_step above 0"),
    ],
)
def test_impossible_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(TsainError, match=message):
        em_phantom(**arguments)  # type: ignore[arg-type]
