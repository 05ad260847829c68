"""Triplets fit to learn from: histogram specification, alignment, rejection of damaged ones.

What section 4.1 of the paper does to CREMI; thresholds are ours, since it gives none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace

from ..errors import TsainError
from ..system.records import Record

Triplet = NDArray[np.float32]  # (3, y, x)

_SMOOTHING = 2.0  # pixels; sections match in structure, not in noise
_BLOCK = 16  # side in pixels of the places that are looked at for defects


@dataclass(frozen=True)
class Screening(Record):
    """When a triplet is rejected; `reject` says why.

    Attributes
    ----------
    continuity : float
        Least correlation of neighbouring slices, both smoothed by a Gaussian of 2 pixels.
    blur : float
        Largest ratio of the high-frequency energy of two slices of a triplet.
    defects : float
        Largest share of a slice that is empty, folded or charged: blocks of 16 x 16 pixels in which
        nearly nothing varies.
    align : int
        Largest shift in pixels that template matching may take out between neighbours; 0 leaves
        triplets as they are.
    """

    continuity: float = 0.05
    blur: float = 4.0
    defects: float = 0.1
    align: int = 0

    def reject(self, triplet: Triplet) -> str | None:
        """Why a triplet (3, y, x) in [0, 1] is of no use, or None."""
        for image in triplet:
            share = defective_share(image)
            if share > self.defects:
                return f"defects in {share:.0%} of a slice"
        energies = [float(laplace(image).var()) for image in triplet]
        if max(energies) > self.blur * min(energies):
            return f"sharpness differs by {max(energies) / max(min(energies), 1e-12):.1f} times"
        smooth = [gaussian_filter(image, _SMOOTHING) for image in triplet]
        worst = min(_correlation(smooth[0], smooth[1]), _correlation(smooth[1], smooth[2]))
        if worst < self.continuity:
            return f"neighbours correlate by {worst:.2f} only"
        return None


def defective_share(image: NDArray[np.float32]) -> float:
    """Share of the blocks of a slice in which less than a tenth of the usual varies."""
    h, w = (n // _BLOCK * _BLOCK for n in image.shape)
    if not h or not w:
        return 0.0
    blocks = image[:h, :w].reshape(h // _BLOCK, _BLOCK, w // _BLOCK, _BLOCK)
    deviations = blocks.std((1, 3))
    usual = float(np.quantile(deviations, 0.75))
    return float((deviations <= 0.1 * usual).mean())


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def find_shift(image: NDArray[np.float32], template: NDArray[np.float32]) -> tuple[int, int]:
    """Where in `image` the smaller `template` fits best, (dy, dx) from the centre.

    Normalised cross-correlation of both, smoothed (OpenCV's matchTemplate, TM_CCOEFF_NORMED).
    """
    import cv2

    within, what = (gaussian_filter(i, _SMOOTHING).astype(np.float32) for i in (image, template))
    match = cv2.matchTemplate(within, what, cv2.TM_CCOEFF_NORMED)
    y, x = np.unravel_index(int(match.argmax()), match.shape)
    return int(y) - (match.shape[0] - 1) // 2, int(x) - (match.shape[1] - 1) // 2


def align_triplet(wide: Triplet, margin: int) -> Triplet:
    """Move the outer slices onto the middle one.

    Parameters
    ----------
    wide : ndarray (3, y + 2 margin, x + 2 margin)
    margin : int
        Largest shift in pixels.

    Returns
    -------
    ndarray (3, y, x)
    """
    h, w = (n - 2 * margin for n in wide.shape[1:])
    middle = wide[1, margin : margin + h, margin : margin + w]
    cuts = [middle, middle, middle]
    for i in (0, 2):
        dy, dx = find_shift(wide[i], middle)
        y, x = margin + dy, margin + dx
        cuts[i] = wide[i, y : y + h, x : x + w]
    return np.stack(cuts)


def equalise_slices(volume: NDArray[Any]) -> NDArray[np.float32]:
    """Give every slice the mean and the contrast of the whole volume.

    What differs in them between sections is an accident of their preparation.

    Parameters
    ----------
    volume : ndarray (z, y, x)

    Returns
    -------
    ndarray (z, y, x), float32
        Same mean and standard deviation in every slice: the medians of the slices' own.
    """
    out = volume.astype(np.float32)
    means = out.mean((1, 2), keepdims=True)
    spreads = np.maximum(out.std((1, 2), keepdims=True), 1e-6)
    out -= means
    out *= np.median(spreads) / spreads
    out += np.median(means)
    return out


def specify_histograms(array: NDArray[Any]) -> NDArray[Any]:
    """Give every slice the grey-value distribution of the whole volume.

    Parameters
    ----------
    array : ndarray (z, y, x)

    Returns
    -------
    ndarray of the same shape and dtype
        By monotone maps, one a slice (Gonzalez and Woods; scikit-image's `match_histograms`).

    Raises
    ------
    TsainError
        If the array is no volume.
    """
    from skimage.exposure import match_histograms

    if array.ndim != 3:
        raise TsainError(f"The array is {array.ndim}-D; expected a volume (z, y, x).")
    step = max(1, array.size // 2**24)  # the distribution is known well enough from a sample
    sample = np.sort(array.reshape(-1)[::step])
    out = np.empty_like(array)
    for z, image in enumerate(array):
        values = match_histograms(image, sample.reshape(-1, 1)).astype(np.float64)
        out[z] = np.rint(values) if np.issubdtype(array.dtype, np.integer) else values
    return out
