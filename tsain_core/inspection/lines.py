"""Long straight lines across a slice: what tears and folds leave."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .sketch import Floats

_ANGLES = 12
_WIDTHS = (16, 28)  # strips across a side, broad and narrow
_SHORTEST = 0.5  # of the longest strip: shorter ones hold too little
_STRIDE = 2  # pixels of a smooth picture that are one here


def line_height(difference: Floats) -> float:
    """How much the mean of a straight strip stands out from the strips on both sides of it.

    Parameters
    ----------
    difference : ndarray (y, x)
        Smooth.

    Returns
    -------
    float
        The largest height of all directions and places, in the units of `difference`.
    """
    small = difference[::_STRIDE, ::_STRIDE]
    values = small.ravel()
    best = 0.0
    for strips, counts in _strips(*small.shape):
        means = np.bincount(strips, values, len(counts)) / np.maximum(counts, 1)
        means[counts < _SHORTEST * counts.max()] = np.nan
        sides = np.stack([means[:-4], means[4:]])
        towards = means[2:-2] - sides
        same = np.sign(towards[0]) == np.sign(towards[1])
        height = np.where(same, np.abs(towards).min(0), 0.0)
        best = max(best, float(np.nanmax(height, initial=0.0)))
    return best


@lru_cache(4)
def _strips(height: int, width: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The strip of each pixel, and the pixels of each strip, for each direction and width."""
    y, x = np.indices((height, width))
    result = []
    for angle in np.pi * np.arange(_ANGLES) / _ANGLES:
        across = y * np.cos(angle) + x * np.sin(angle)
        for count in _WIDTHS:
            strips = np.floor((across - across.min()) * count / min(height, width))
            numbers = strips.astype(np.int64).ravel()
            result.append((numbers, np.bincount(numbers)))
    return result
