"""How a model is mixed with the mean of neighbours on a stack, from slices that were left out.

Fine detail comes from the mean of the two neighbours, in shares; brightness from that of more of
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.leave_one_out import LeftOut, grey_scale, leave_out
from ..evaluation.metrics import score
from ..inference.brightness import CHOICES, Levels, choose_slices, shifts_of, slice_levels
from ..inference.mixing import mix_with_mean
from ..inference.models import BaselineModel
from .fit_shares import Mixed, TripletFit, fit_shares, shares_without, triplet_fit

Image = NDArray[np.float32]
Pairs = list[tuple[LeftOut, Image]]


@dataclass(frozen=True)
class StackBrightness:
    """How bright the slices of a stack are.

    Attributes
    ----------
    levels : mapping
        Slice -> its mean grey value.
    scale : float
        What a grey value of the stack is in those of slices that were left out.
    """

    levels: Levels
    scale: float

    def shift(self, z: int) -> float:
        """How much brighter slice z is than its neighbours, as foretold without it."""
        others = {i: level for i, level in self.levels.items() if i != z}
        found = shifts_of(others, [(z - 1, z + 1)], choose_slices(others))
        return self.scale * found.get(z - 1, 0.0)


def brightness_of(volume: Any, slices: Sequence[int]) -> StackBrightness:
    """Measure the brightness of slices and of those round them.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    slices : sequence of int
    """
    most = max(CHOICES)
    near = {z + i for z in slices for i in range(-most, most + 1)}
    return StackBrightness(slice_levels(volume, near), grey_scale(volume))


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


def mixed_slices(
    pairs: Pairs,
    fits: Sequence[TripletFit],
    brightness: StackBrightness,
    before_detail: bool = False,
) -> list[Image]:
    """Each slice, mixed as those triplets and slices say that do not hold it.

    Parameters
    ----------
    pairs, fits : sequences
        From `with_means` and `fits_of`.
    brightness : StackBrightness
    before_detail : bool
        Whether the slices get detail of the real ones next; see `MixShares`.
    """
    mixed = []
    for left, mean in pairs:
        image, shares = left.image, shares_without(fits, left.z)
        if shares is not None:
            shares = shares.before_detail if before_detail else shares
            image = mix_with_mean(image, mean, mean, Fraction(1, 2), shares)
        mixed.append(image + np.float32(brightness.shift(left.z)))
    return mixed


def mix_left_out(
    volume: Any, left_out: Sequence[LeftOut], crop: int, brightness: StackBrightness
) -> Mixed:
    """How a model is mixed on a stack, and what it gains; parameters as for `with_means`."""
    pairs = with_means(volume, left_out, crop)
    fits = fits_of(pairs)
    images = zip(mixed_slices(pairs, fits, brightness), left_out, strict=True)
    scores = tuple(score(image, left.truth, left.valid) for image, left in images)
    return Mixed(fit_shares(fits), choose_slices(brightness.levels), scores)
