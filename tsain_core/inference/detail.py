"""Fine detail of the real slices, put on computed ones.

A network trained on squared error gives the expectation of a slice: grain and what cannot be known
are averaged away, and the slice looks soft among real ones. Here the two real slices round it give
back what lies above a Gaussian of one pixel, as much as the computed slice lacks: where it is as
sharp as they are, nothing is added. It is detail of theirs, at its place in them, and no knowledge
of the slice between.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

_SIGMA = 1.0  # pixels: what is finer is detail
_RADIUS = 4
_AROUND = 6.0  # pixels: over which strengths of detail are averaged
_AROUND_RADIUS = 14
#: Pixels round a pixel that its detail depends on.
REACH = _RADIUS + _AROUND_RADIUS

_MOST = 2.0  # times the detail of the real slices, where theirs nearly cancels


def add_detail(
    image: Image, before: Image, after: Image, fraction: Fraction, share: float
) -> Image:
    """A computed slice with as much fine detail as a share of the real slices' has.

    The detail d of the two slices, weighted by cosine and sine of their shares, is added as s d, so
    that the mean square of the slice's own detail c and of s d together is, around every pixel,
    share^2 times that of the real slices: s^2 <d d> + 2 s <c d> + <c c> = share^2 <real>.

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
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    own, first, last = (_detail(i) for i in (image, before, after))
    added = cos * first + sin * last
    real = _around(cos * cos * first * first + sin * sin * last * last)
    missing = np.float32(share * share) * real - _around(own * own)
    theirs, common = _around(added * added), _around(own * added)
    root = np.sqrt(np.maximum(common * common + theirs * np.maximum(missing, 0), 0))
    strength = (root - common) / np.maximum(theirs, np.float32(1e-12))
    strength = np.where(missing > 0, np.clip(strength, 0, np.float32(_MOST)), np.float32(0))
    out: Image = image + strength * added
    return out


def _detail(image: Image) -> Image:
    return image - _smooth(image, _SIGMA, _RADIUS)


def _around(values: Image) -> Image:
    return _smooth(values, _AROUND, _AROUND_RADIUS)


def _smooth(values: Image, sigma: float, radius: int) -> Image:
    from scipy.ndimage import gaussian_filter

    out: Image = gaussian_filter(values, sigma, radius=radius)
    return out
