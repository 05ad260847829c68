"""Random fields that are smooth in space and depend on nothing but their seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def spline_weights(positions: Array, count: int) -> Array:
    """Cubic B-spline weights of `count` knots at 0, 1, 2, ... for each position, (p, count)."""
    u = np.abs(positions[:, None] - np.arange(count))
    near = (4 - 6 * u**2 + 3 * u**3) / 6
    far = np.clip(2 - u, 0, None) ** 3 / 6
    return np.where(u < 1, near, far)


class SmoothField:
    """Gaussian random field in (z, y, x) with unit variance, evaluated a slice at a time.

    Parameters
    ----------
    rng : numpy.random.Generator
    extent : (float, float, float)
        Size of the world in pixels, (z, y, x).
    spacing : float
        Distance of the knots in pixels: the size of the smallest features.
    """

    def __init__(
        self, rng: np.random.Generator, extent: tuple[float, float, float], spacing: float
    ) -> None:
        self._spacing = spacing
        counts = [int(np.ceil(size / spacing)) + 4 for size in extent]
        # The sum of the squared weights is 0.48 on average, along each of three axes.
        self._knots = rng.standard_normal(counts) / 0.48**1.5
        height, width = int(extent[1]), int(extent[2])
        self._rows = spline_weights(np.arange(height) / spacing + 1, counts[1])
        self._columns = spline_weights(np.arange(width) / spacing + 1, counts[2])

    def slice(self, z: float) -> Array:
        """The field at depth `z` in pixels, (y, x)."""
        weights = spline_weights(np.array([z / self._spacing + 1]), self._knots.shape[0])[0]
        # einsum, not a matrix product: the order of its sums is the same on every machine.
        plane = np.einsum("k,kij->ij", weights, self._knots)
        columns: Array = np.einsum("ij,xj->ix", plane, self._columns)
        return np.einsum("yi,ix->yx", self._rows, columns)
