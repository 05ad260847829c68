"""Scores of a computed slice against the real one.

PSNR rewards blur on noisy EM, so it never stands alone: the structure score compares what is left
when the noise is blurred away, and sharpness tells how much high frequency the prediction kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

#: Gaussian, in pixels, that is applied to both images before the structure score.
STRUCTURE_SIGMA = 2.0
#: Side in pixels of the window of SSIM; slices must not be smaller.
WINDOW = 11


@dataclass(frozen=True)
class Scores:
    """Scores of one slice, or means of several.

    Attributes
    ----------
    psnr : float
        Peak signal-to-noise ratio in dB at a range of 255; higher is better.
    structure : float
        PSNR in dB after a Gaussian of sigma 2 on both images; higher is better.
    ssim : float
        Structural similarity (Wang et al. 2004), Gaussian window of 11 pixels, sigma 1.5.
    ie : float
        Interpolation error: mean absolute difference in grey levels; lower is better.
    sharpness : float
        Variance of the Laplacian over that of the real slice; 1 is as sharp as real.
    """

    psnr: float
    structure: float
    ssim: float
    ie: float
    sharpness: float


def _psnr(a: NDArray[np.float64], b: NDArray[np.float64], valid: NDArray[np.bool_]) -> float:
    squared = float(np.mean((a - b)[valid] ** 2))
    return float("inf") if squared == 0 else float(10 * np.log10(255**2 / squared))


def score(
    prediction: NDArray[np.float32],
    truth: NDArray[np.generic],
    valid: NDArray[np.bool_] | None = None,
) -> Scores:
    """Compare a prediction with the real slice.

    Parameters
    ----------
    prediction : ndarray (y, x)
        In grey levels 0 to 255; rounded to uint8 before it is compared.
    truth : ndarray (y, x)
        The real slice, in the same grey levels. Data of other ranges are scaled by the caller.
    valid : ndarray of bool (y, x), optional
        Pixels that count. The others, and those that are not finite in the real slice, are taken
        from the prediction, so that windows that reach into them see no difference there.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If the shapes differ, a side is shorter than the SSIM window of 11 pixels, or no pixel
        counts.
    """
    from scipy.ndimage import gaussian_filter, laplace
    from skimage.metrics import structural_similarity

    if prediction.shape != truth.shape or min(truth.shape) < WINDOW:
        raise ValueError(
            f"Prediction is {prediction.shape}, truth {truth.shape}; expected equal shapes of at "
            f"least {WINDOW} x {WINDOW} pixels."
        )
    counted = np.isfinite(truth.astype(np.float32))
    counted = counted if valid is None else counted & valid
    if not counted.any():
        raise ValueError("No pixel of the slice counts; at least one finite pixel is required.")
    p = np.clip(np.rint(np.nan_to_num(prediction)), 0, 255).astype(np.float64)
    t = np.clip(np.rint(np.where(counted, truth, p)), 0, 255).astype(np.float64)
    _, similarity = structural_similarity(
        p,
        t,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    edge = WINDOW // 2  # where the window reaches beyond the image
    inner = np.zeros_like(counted)
    inner[edge:-edge, edge:-edge] = counted[edge:-edge, edge:-edge]
    smooth_p, smooth_t = (gaussian_filter(image, STRUCTURE_SIGMA) for image in (p, t))
    real = float(laplace(t)[counted].var())
    return Scores(
        psnr=_psnr(p, t, counted),
        structure=_psnr(smooth_p, smooth_t, counted),
        ssim=float(similarity[inner if inner.any() else counted].mean()),
        ie=float(np.abs(p - t)[counted].mean()),
        sharpness=float(laplace(p)[counted].var()) / real if real else float("nan"),
    )


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Mean of each score over slices.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not scores:
        raise ValueError("No scores to average; expected at least one.")
    return Scores(*(float(v) for v in np.mean([astuple(s) for s in scores], axis=0)))
