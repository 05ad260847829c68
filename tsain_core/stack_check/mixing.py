"""Shares of the mean of neighbours for a model, from slices that were left out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.leave_one_out import LeftOut, leave_out
from ..evaluation.metrics import score
from ..inference.mixing import mix_with_mean
from ..inference.models import BaselineModel
from .fit_shares import Mixed, TripletFit, fit_shares, shares_without, triplet_fit

Pairs = list[tuple[LeftOut, NDArray[np.float32]]]


def with_means(volume: Any, left_out: Sequence[LeftOut], crop: int) -> Pairs:
    """What a model computed of slices that were left out, and the means of their neighbours.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
        The one that the slices were left out of.
    left_out : sequence of LeftOut
    crop : int
        Their side in pixels.
    """
    slices = [left.z for left in left_out]
    means = leave_out(volume, [BaselineModel("mean")], crop, slices=slices)
    return [(left, mean.image) for left, mean in zip(left_out, means, strict=True)]


def fits_of(pairs: Pairs) -> list[TripletFit]:
    """What each triplet says of the shares; its whole crop must be finite."""
    return [triplet_fit(left.z, left.image, mean, left.truth) for left, mean in pairs]


def mixed_slices(pairs: Pairs, fits: Sequence[TripletFit]) -> list[NDArray[np.float32]]:
    """Each slice, mixed in the shares from those triplets that do not hold it."""
    shares = [shares_without(fits, left.z) for left, _ in pairs]
    return [
        mix_with_mean(left.image, mean, mean, Fraction(1, 2), found) if found else left.image
        for (left, mean), found in zip(pairs, shares, strict=True)
    ]


def mix_left_out(volume: Any, left_out: Sequence[LeftOut], crop: int) -> Mixed:
    """The shares that suit a stack, and what they gain; parameters as for `with_means`."""
    pairs = with_means(volume, left_out, crop)
    fits = fits_of(pairs)
    images = zip(mixed_slices(pairs, fits), left_out, strict=True)
    scores = tuple(score(image, left.truth, left.valid) for image, left in images)
    return Mixed(fit_shares(fits), scores)
