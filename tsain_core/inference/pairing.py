"""Bring two slices together before a slice between them is computed, for that computation only."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

_SIDE = 1024  # pixels in which a shift is looked for at first
_FINE = 512  # of the middle, in which it is made exact
_QUANTILES = 256


def aligned(before: Image, after: Image, fraction: Fraction) -> tuple[Image, Image]:
    """Two slices, each moved to where a slice at `fraction` of the way between them lies.

    Moved by whole pixels, so that nothing is blurred. What a slice does not show there, because it
    lies beyond its edge, is taken from the other one.

    Parameters
    ----------
    before, after : ndarray (y, x)
        Finite.
    fraction : Fraction
        0 to 1.
    """
    shift = find_shift(before, after)
    first = [round(float(fraction) * side) for side in shift]
    second = [mine - side for mine, side in zip(first, shift, strict=True)]
    moved, there = _moved(before, first)
    other, there_too = _moved(after, second)
    return np.where(there, moved, other), np.where(there_too, other, moved)


def find_shift(before: Image, after: Image) -> tuple[int, int]:
    """Pixels (y, x) by which the second slice lies further down and right; 0, 0 where unsure.

    By phase correlation of the textures, binned where slices are large, and then of the middle.
    """
    size = max(1, -(-max(before.shape) // _SIDE))
    y, x = (int(s) * size for s in _shift(_binned(before, size), _binned(after, size)))
    if size == 1 or not (y or x):
        return y, x
    middle = _middle(before, (0, 0)), _middle(after, (y, x))
    if middle[0].shape != middle[1].shape:
        return y, x
    dy, dx = _rest(*middle)
    return (y + dy, x + dx) if max(abs(dy), abs(dx)) <= 2 * size else (y, x)


def brightness_matched(before: Image, after: Image, fraction: Fraction) -> tuple[Image, Image]:
    """Two slices with the grey values that a slice between them would have.

    The histogram lies between those of the two, by their quantiles: `fraction` of the way.
    """
    shares = np.linspace(0, 1, _QUANTILES)
    some = [image[:: _step(image), :: _step(image)] for image in (before, after)]
    own = [np.quantile(image, shares).astype(np.float64) for image in some]
    target = (1 - float(fraction)) * own[0] + float(fraction) * own[1]
    return _mapped(before, own[0], target), _mapped(after, own[1], target)


def _mapped(image: Image, quantiles: NDArray[np.float64], target: NDArray[np.float64]) -> Image:
    known, at = np.unique(quantiles, return_index=True)
    if len(known) < 2:
        return image + np.float32(target.mean() - quantiles.mean())
    inside: Image = np.interp(image, known, target[at]).astype(np.float32)
    # the few values beyond those that were looked at keep their distance
    inside += np.minimum(image - np.float32(known[0]), 0) + np.maximum(
        image - np.float32(known[-1]), 0
    )
    return inside


def _step(image: Image) -> int:
    return max(1, int((image.size / (1 << 18)) ** 0.5))


def _moved(image: Image, by: list[int]) -> tuple[Image, NDArray[np.bool_]]:
    """(image moved down and right, where it shows something)."""
    there = np.zeros(image.shape, bool)
    spans = []
    for side, length in zip(by, image.shape, strict=True):
        to = slice(max(0, side), min(length, length + side))
        spans.append((to, slice(to.start - side, to.stop - side)))
    result = np.zeros_like(image)
    result[spans[0][0], spans[1][0]] = image[spans[0][1], spans[1][1]]
    there[spans[0][0], spans[1][0]] = True
    return result, there


def _shift(first: Image, second: Image) -> NDArray[np.float64]:
    from ..inspection.measures import shift_between, spectrum_of, texture_of

    textures = [texture_of(image) for image in (first, second)]
    return shift_between(textures[0], *(spectrum_of(texture) for texture in textures))


def _rest(first: Image, second: Image) -> tuple[int, int]:
    """The few pixels that are left of a shift which is sure."""
    from skimage.registration import phase_cross_correlation

    from ..inspection.measures import texture_of

    textures = [texture_of(image) for image in (first, second)]
    found, _, _ = phase_cross_correlation(textures[1], textures[0], normalization=None)
    return int(found[0]), int(found[1])


def _binned(image: Image, size: int) -> Image:
    if size == 1:
        return image
    height, width = (n // size * size for n in image.shape)
    parts = image[:height, :width].reshape(height // size, size, width // size, size)
    mean: Image = parts.mean((1, 3), dtype=np.float32)
    return mean


def _middle(image: Image, shift: tuple[int, int]) -> Image:
    spans = []
    for length, side in zip(image.shape, shift, strict=True):
        start = max(0, (length - _FINE) // 2) + side
        spans.append(slice(max(0, start), max(0, start + min(_FINE, length))))
    return image[spans[0], spans[1]]
