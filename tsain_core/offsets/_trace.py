"""Through the steps: what the last spatial-adaptive block reaches in the input of the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ._points import KERNEL, Field

_GRID = 2  # places a pixel of the feature map that points are merged to, along y and x


@dataclass(frozen=True)
class Reached:
    """Places in the input of the first step, with how much they weigh.

    Attributes
    ----------
    y, x : ndarray (n,)
        In pixels of the slice.
    weight : ndarray (n,)
        Sum of the products of the masks on all ways there; the largest is 1.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    weight: NDArray[np.float64]


def trace_steps(steps: Sequence[Field], y: float, x: float) -> Reached:
    """Follow the sampling points of the last step back through those before it.

    Each step samples nine places of what the step before made; offsets and masks at fractional
    places are read bilinearly. The 3 x 3 convolutions and the shortcuts of the blocks are left
    out: the trace shows where sampling leads, not all that has influence. Points closer than half
    a pixel of the feature map become one.

    Parameters
    ----------
    steps : sequence of Field
        In order; one group each.
    y, x : float
        Query, in pixels of the slice.
    """
    last = steps[-1]
    places = np.array([last.index(y, x)], float)
    weights = np.ones(1)
    for field in reversed(steps):
        offset, mask = _read(field, places)
        places = (places[:, None] + KERNEL + offset).reshape(-1, 2)
        weights = (weights[:, None] * mask).reshape(-1)
        places, weights = _merge(places, weights)
    first = steps[0]
    return Reached(
        first.y0 + places[:, 0] * first.stride,
        first.x0 + places[:, 1] * first.stride,
        weights / max(weights.max(), 1e-12),
    )


def _read(
    field: Field, places: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Offsets (n, 9, 2) and masks (n, 9) at fractional places (n, 2) of a field."""
    channels = [*field.offset[0].reshape(18, *field.mask.shape[-2:]), *field.mask[0]]
    values = [map_coordinates(c, places.T, order=1, mode="nearest") for c in channels]
    offset = np.stack(values[:18], -1).reshape(-1, 9, 2)
    return offset, np.stack(values[18:], -1)


def _merge(
    places: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted centres of the points that fall into the same cell of a fine grid."""
    cells, where = np.unique(np.round(places * _GRID).astype(int), axis=0, return_inverse=True)
    where = where.reshape(-1)
    total = np.bincount(where, weights, len(cells)).astype(np.float64)
    sums = [np.bincount(where, weights * places[:, axis], len(cells)) for axis in (0, 1)]
    return np.stack(sums, -1) / np.maximum(total, 1e-12)[:, None], total
