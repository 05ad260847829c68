"""What the uncertainty of a computed slice is told from: disagreement of neighbours and views.

All images are (y, x), float32, in the same grey values, whatever their scale.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..inference.ensemble import DihedralTransform, View
from ..inference.nonfinite import fill_pair
from ..inference.slice_model import Image, SliceModel, TileDone

#: Gaussian in pixels over which disagreement is averaged.
SIGMA = 4.0
#: The second look at a pair: turned by half, and the other slice first.
SECOND_VIEW = View(DihedralTransform(2), reversed=True)


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Squared disagreement, in squared grey values.

    Attributes
    ----------
    neighbours : (y, x)
        Of the slices before and after, averaged locally.
    views : (y, x)
        Of what the model computes from the pair and from its turned, time-reversed view.
    overall : float
        Mean of `neighbours` over the slice: grain, and how fast the stack changes.
    """

    neighbours: Image
    views: Image
    overall: float

    def stacked(self) -> NDArray[np.float32]:
        """The three as one array (3, y, x)."""
        overall = np.full_like(self.neighbours, self.overall)
        return np.stack([self.neighbours, self.views, overall])


def features_of(
    model: SliceModel,
    before: Image,
    after: Image,
    fraction: Fraction = Fraction(1, 2),
) -> Generator[TileDone, None, tuple[Image, Disagreement]]:
    """Compute a slice twice, as it is and as the second view, and compare.

    Parameters
    ----------
    model : SliceModel
    before, after : ndarray (y, x)
        Scaled as for `SliceModel.between`; NaN is filled by the other slice.
    fraction : Fraction
        Where the slice lies; must be one that the model computes directly.

    Yields
    ------
    TileDone

    Returns
    -------
    (ndarray (y, x), Disagreement)
        The slice as the model computes it, without detail.
    """
    pair = fill_pair(before, after)
    image = yield from model.between(pair.before, pair.after, fraction)
    turn = SECOND_VIEW.turn
    turned = [np.ascontiguousarray(turn.apply(i)) for i in (pair.after, pair.before)]
    second = yield from model.between(turned[0], turned[1], 1 - fraction)
    return image, compared(pair.before, pair.after, image, turn.undo(second))


def compared(before: Image, after: Image, first: Image, second: Image) -> Disagreement:
    """Disagreement of a slice that was computed from a pair in two views."""
    neighbours = _local(before - after)
    return Disagreement(neighbours, _local(first - second), float(neighbours.mean()))


def _local(difference: Image) -> Image:
    from scipy.ndimage import gaussian_filter

    local: Image = gaussian_filter(difference * difference, SIGMA)
    return local
