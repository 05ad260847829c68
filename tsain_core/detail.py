"""Fine detail of the real slices, put on computed ones.

A network trained on squared error gives the expectation of a slice: grain and what cannot be known
are averaged away, and the slice looks soft among real ones. Here the two real slices round it give
back what lies above a Gaussian of one pixel: as strong at every position between them, for the two
shares are cosine and sine. It is detail of theirs, at its place in them, and no knowledge of the
slice between.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

_SIGMA = 1.0  # pixels
#: Pixels round a pixel that its detail depends on.
REACH = 4


def add_detail(
    image: Image, before: Image, after: Image, fraction: Fraction, share: float
) -> Image:
    """A computed slice with a share of the fine detail of the real slices.

    Parameters
    ----------
    image : ndarray (y, x)
        Computed, at `fraction` of the way from `before` to `after`.
    before, after : ndarray (y, x)
        The real slices, scaled as `image` is.
    fraction : Fraction
    share : float
        0 leaves the slice as it is; 1 gives as much detail as real slices have.

    Returns
    -------
    ndarray (y, x)
    """
    if not share:
        return image
    angle = math.pi / 2 * float(fraction)
    shares = np.float32(share * math.cos(angle)), np.float32(share * math.sin(angle))
    return image + shares[0] * _detail(before) + shares[1] * _detail(after)


def _detail(image: Image) -> Image:
    from scipy.ndimage import gaussian_filter

    smooth: Image = gaussian_filter(image, _SIGMA, radius=REACH)
    return image - smooth
