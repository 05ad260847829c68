"""A computed slice and the mean of its neighbours, mixed in the shares that suit a stack.

What is signal and what is noise, the two slices alone do not tell: detail that goes on from slice
to slice is grain in one stack and tissue in another. The stack tells, by slices that are left out
(`tsain_core.stack_check.fit_shares`). Each band of detail has a share of its own: stacked
regression (Breiman 1996), of two predictors, the mean's bands and the slice's own. What is coarser
than all bands is the network's: a share of that too took 0.2 dB of structure from one stack, whose
few triplets were misleading.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

_SIGMAS = (1.0, 2.0, 4.0)  # pixels: where the bands end
_RADII = (4, 8, 16)
#: Pixels round a pixel that its mix depends on.
REACH = max(_RADII)
#: Smallest and largest share of the mean: below 0 the mix leads away from it.
LEAST, MOST = -1.0, 1.5


@dataclass(frozen=True)
class MixShares:
    """Shares by which a computed slice is mixed with the mean of its neighbours.

    Attributes
    ----------
    mean : (float, float, float)
        Of the mean in what is finer than Gaussians of 1, 2 and 4 pixels, finer first, each without
        what is finer still; 0 leaves the slice as it is, 1 takes the mean's.
    own : (float, float)
        By how much of themselves the slice's own two finer bands are raised; not below 0, since
        less detail would have better scores on every noisy stack and show nothing any more.
    """

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    own: tuple[float, float] = (0.0, 0.0)

    @property
    def before_detail(self) -> MixShares:
        """The shares of slices that get detail of the real ones next, instead of more of theirs."""
        return MixShares(self.mean)


MEAN_BANDS, OWN_BANDS = len(MixShares.mean), len(MixShares.own)


def bands(image: Image, count: int) -> list[Image]:
    """The `count` finest bands of an image: what lies between Gaussians of 0, 1, 2, 4 pixels.

    Parameters
    ----------
    image : ndarray (y, x)
    count : int
        At most 3.
    """
    from scipy.ndimage import gaussian_filter

    smooth = [
        gaussian_filter(image, sigma, radius=radius)
        for sigma, radius in zip(_SIGMAS[:count], _RADII[:count], strict=True)
    ]
    return [finer - coarser for finer, coarser in zip([image, *smooth], smooth, strict=False)]


def mix_with_mean(
    image: Image, before: Image, after: Image, fraction: Fraction, shares: MixShares
) -> Image:
    """Mix a computed slice with the mean of its neighbours, band by band.

    Parameters
    ----------
    image : ndarray (y, x)
        Computed, at `fraction` of the way from `before` to `after`.
    before, after : ndarray (y, x)
        The real slices, scaled as `image` is.
    fraction : Fraction
        Weighs them in the mean.
    shares : MixShares

    Returns
    -------
    ndarray (y, x)
        image + sum over bands of mean share * (band of the mean - band of the image)
        + sum over bands of own share * band of the image.
    """
    share = np.float32(fraction)
    mean = (1 - share) * before + share * after
    mixed = image
    for source, weights in ((mean - image, shares.mean), (image, shares.own)):
        used = max((i + 1 for i, weight in enumerate(weights) if weight), default=0)
        for band, weight in zip(bands(source, used), weights, strict=False):
            if weight:
                mixed = mixed + np.float32(weight) * band
    return mixed
