"""Pixels that are NaN or infinite: filled before a method computes, left out of its result.

A network spreads one such pixel over everything that it sees of a slice. So every pair of slices is
made finite first. Where one slice has no finite value, the other slice lends its own; where neither
has one, the nearest finite pixel does, and the result has no value there either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True)
class FinitePair:
    """Two slices (y, x) in which every pixel is finite.

    Attributes
    ----------
    before, after : ndarray (y, x)
        The arrays that were given, where nothing had to be filled.
    hole : ndarray of bool (y, x) or None
        True where neither slice had a finite value; None: nowhere.
    """

    before: Image
    after: Image
    hole: NDArray[np.bool_] | None = None


def fill_pair(before: Image, after: Image) -> FinitePair:
    """Make two slices of one shape finite, each by the other, then by the nearest finite pixel."""
    gaps = [~np.isfinite(image) for image in (before, after)]
    if not any(gap.any() for gap in gaps):
        return FinitePair(before, after)
    filled = [
        np.where(gap, other, image)
        for image, gap, other in ((before, gaps[0], after), (after, gaps[1], before))
    ]
    hole = gaps[0] & gaps[1]
    if not hole.any():
        return FinitePair(filled[0], filled[1])
    return FinitePair(_fill_nearest(filled[0], hole), _fill_nearest(filled[1], hole), hole)


def fill_slices(stack: Image) -> Image:
    """Make slices (n, y, x) finite, each by its own nearest finite pixel; 0 where it has none."""
    if np.isfinite(stack).all():
        return stack
    return np.stack([_fill_nearest(image, ~np.isfinite(image)) for image in stack])


def _fill_nearest(image: Image, hole: NDArray[np.bool_]) -> Image:
    from scipy.ndimage import distance_transform_edt

    if not hole.any():
        return image
    if hole.all():
        return np.zeros_like(image)
    y, x = distance_transform_edt(hole, return_distances=False, return_indices=True)
    nearest: Image = image[y, x]
    return nearest
