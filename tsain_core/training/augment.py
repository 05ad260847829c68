"""Augmentation of triplets: the paper's symmetries, and what differs between real stacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..system.records import Record


@dataclass(frozen=True)
class Augmentation(Record):
    """Strengths; zero switches a term off. Grey values are in [0, 1].

    Attributes
    ----------
    contrast, brightness : float
        Largest relative change of contrast and change of brightness, common to the triplet.
    slice_contrast, slice_brightness : float
        The same for each of the two outer slices alone: preparation differs between sections. The
        truth is left as it is.
    noise : (float, float)
        Range of the standard deviation of noise added to the outer slices; the truth stays clean,
        so that the network learns to average noise away.
    shift : int
        Largest drift in pixels: the outer slices move by it in opposite directions.
    """

    contrast: float = 0.15
    brightness: float = 0.08
    slice_contrast: float = 0.05
    slice_brightness: float = 0.02
    noise: tuple[float, float] = (0.0, 0.0)
    shift: int = 0


def regraded(image: NDArray[np.float32], gain: float, shift: float) -> NDArray[np.float32]:
    """Contrast times `gain` about the middle grey, brightness more by `shift`; [0, 1]."""
    changed: NDArray[np.float32] = (image - 0.5) * gain + 0.5 + shift
    return changed


def augment(
    triplet: NDArray[np.float32], a: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.float32], bool]:
    """Rotate by multiples of 90 degrees, flip, reverse in z, and change grey values.

    Parameters
    ----------
    triplet : ndarray (3, y, x), y = x
    a : Augmentation
    rng : Generator

    Returns
    -------
    ndarray (3, y, x), float32, and bool
        The triplet, and whether it was reversed in z.
    """
    triplet = np.rot90(triplet, int(rng.integers(4)), axes=(1, 2))
    if rng.random() < 0.5:
        triplet = triplet[:, :, ::-1]
    reverse = rng.random() < 0.5
    if reverse:
        triplet = triplet[::-1]
    gain = 1 + rng.uniform(-a.contrast, a.contrast)
    triplet = regraded(triplet, gain, rng.uniform(-a.brightness, a.brightness))
    sigma = rng.uniform(*a.noise)
    for i in (0, 2):
        gain = 1 + rng.uniform(-a.slice_contrast, a.slice_contrast)
        shift = rng.uniform(-a.slice_brightness, a.slice_brightness)
        triplet[i] = regraded(triplet[i], gain, shift)
        if sigma > 0:
            triplet[i] += rng.standard_normal(triplet[i].shape, dtype=np.float32) * sigma
    return np.ascontiguousarray(triplet, dtype=np.float32), reverse
