"""A computed slice and the mean of its neighbours, mixed in the shares that suit a stack.

What is signal and what is noise, the two slices alone do not tell: detail that goes on from slice
to slice is grain in one stack and tissue in another. The stack tells, by slices that are left out
(`tsain_core.stack_check.fit_shares`). Two bands are mixed, each with a share of its own: stacked
regression (Breiman 1996), of two predictors. What is coarser is the network's: a share of that too
took 0.3 dB of structure from one stack, whose few triplets were misleading.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
#: Share of the mean of neighbours in each band, finer first; 0 leaves it as it is.
MeanShares = tuple[float, float]

_SIGMAS = (1.0, 2.0)  # pixels: where the bands end
_RADII = (4, 8)
#: Pixels round a pixel that its mix depends on.
REACH = max(_RADII)
#: Smallest and largest share: below 0 the mix leads away from the mean.
LEAST, MOST = -1.0, 1.5


def fine_bands(image: Image) -> tuple[Image, Image]:
    """What is finer than a Gaussian of 1 pixel, and what lies between Gaussians of 1 and 2.

    Parameters
    ----------
    image : ndarray (y, x)
    """
    from scipy.ndimage import gaussian_filter

    middle, coarse = (
        gaussian_filter(image, sigma, radius=radius)
        for sigma, radius in zip(_SIGMAS, _RADII, strict=True)
    )
    return image - middle, middle - coarse


def mix_with_mean(
    image: Image, before: Image, after: Image, fraction: Fraction, shares: MeanShares
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
    shares : MeanShares

    Returns
    -------
    ndarray (y, x)
        image + sum over bands of share * (band of the mean - band of the image).
    """
    share = np.float32(fraction)
    mean = (1 - share) * before + share * after
    mixed = image
    for band, weight in zip(fine_bands(mean - image), shares, strict=True):
        if weight:
            mixed = mixed + np.float32(weight) * band
    return mixed
