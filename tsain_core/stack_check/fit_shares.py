"""How much of the mean of neighbours a model's slices need on a stack: shares, and what they gain.

Shares are fitted by ridge regression, within bounds, to slices that were left out. The strength of
the ridge is the one that does best on triplets that were not fitted; no share is taken unless that
is clearly better than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluation.metrics import Scores
from ..inference.mixing import LEAST, MEAN_BANDS, MOST, OWN_BANDS, MixShares, bands
from ..inference.models import InferenceSettings

Floats = NDArray[np.float64]

#: Fewer triplets tell too little: one is left out to score, another to choose the ridge.
FEWEST = 4
#: Strengths: so many triplets that say "no share" count for as much as the stack's own.
_RIDGES = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, np.inf)
_NONE = np.zeros(MEAN_BANDS + OWN_BANDS)
_BOUNDS = np.array([LEAST] * MEAN_BANDS + [0.0] * OWN_BANDS), np.full(len(_NONE), MOST)
#: Standard errors by which shares must do better than none.
_CLEARLY = 2.0


@dataclass(frozen=True)
class Mixed:
    """How a model is mixed with the mean of neighbours on a stack.

    Attributes
    ----------
    shares : MixShares or None
        From all triplets; None if the model's fine detail is best as it is.
    brightness_slices : int
        On each side, whose brightness slices get.
    scores : tuple of Scores
        Of each triplet, mixed as triplets and slices say that do not hold its slice.
    """

    shares: MixShares | None
    brightness_slices: int
    scores: tuple[Scores, ...]

    @property
    def changes(self) -> bool:
        """Whether anything is mixed at all."""
        return self.shares is not None or self.brightness_slices > 1

    def settings(self, settings: InferenceSettings) -> InferenceSettings:
        """Settings by which the model is mixed in this way."""
        return settings.mixed(self.shares, self.brightness_slices)


@dataclass(frozen=True, eq=False)
class TripletFit:
    """What a triplet says of the shares, in second moments.

    Attributes
    ----------
    z : int
        The slice that was left out.
    gram : ndarray (5, 5)
        Of the three bands of mean minus model and the two of the model, as in `MixShares`.
    product : ndarray (5,)
        Of these bands and truth minus model.
    power : float
        Mean square of truth minus model.
    """

    z: int
    gram: Floats
    product: Floats
    power: float

    def error(self, shares: Floats) -> float:
        """Mean square error with these shares."""
        return self.power - 2 * float(shares @ self.product) + float(shares @ self.gram @ shares)


def triplet_fit(
    z: int, image: NDArray[np.float32], mean: NDArray[np.float32], truth: NDArray[np.float32]
) -> TripletFit:
    """The moments of a triplet.

    Parameters
    ----------
    z : int
    image, mean, truth : ndarray (y, x)
        Computed by the model, mean of neighbours, and the real slice, in the same grey levels.
    """
    found = [*bands(mean - image, MEAN_BANDS), *bands(image, OWN_BANDS)]
    parts = np.stack([band.ravel() for band in found]).astype(np.float64)
    off = (truth - image).ravel().astype(np.float64)
    gram = parts @ parts.T / off.size
    return TripletFit(z, gram, parts @ off / off.size, float(off @ off) / off.size)


def fit_shares(triplets: Sequence[TripletFit]) -> MixShares | None:
    """The shares that do best, rounded to hundredths; None if that is not clearly better.

    Parameters
    ----------
    triplets : sequence of TripletFit
        Two or more; of fewer, None.
    """
    if len(triplets) < 2:
        return None
    errors = [_left_out_errors(triplets, ridge) for ridge in _RIDGES]
    best = int(np.argmin([np.mean(e) for e in errors]))
    gains = errors[-1] - errors[best]
    if np.mean(gains) <= _CLEARLY * np.std(gains, ddof=1) / len(gains) ** 0.5:
        return None
    shares = [float(share) for share in np.round(_solve(triplets, _RIDGES[best]), 2)]
    mean, own = tuple(shares[:MEAN_BANDS]), tuple(shares[MEAN_BANDS:])
    return MixShares(mean, own) if any(shares) else None  # type: ignore[arg-type]


def shares_without(triplets: Sequence[TripletFit], z: int) -> MixShares | None:
    """The shares from the triplets that do not hold slice z."""
    return fit_shares([t for t in triplets if abs(t.z - z) > 1])


def _left_out_errors(triplets: Sequence[TripletFit], ridge: float) -> Floats:
    """Logarithm of the error on each triplet, fitted to the others: all count alike."""
    errors = [
        t.error(_solve([other for other in triplets if other is not t], ridge)) for t in triplets
    ]
    return np.log(np.maximum(errors, 1e-9))


def _solve(triplets: Sequence[TripletFit], ridge: float) -> Floats:
    from scipy.optimize import lsq_linear  # takes half a second, in runs that mix nothing

    if np.isinf(ridge):
        return _NONE
    gram = np.mean([t.gram for t in triplets], axis=0)
    product = np.mean([t.product for t in triplets], axis=0)
    own = np.diag(gram)
    held = np.diag(ridge / len(triplets) * own + 1e-6 * own.max() + 1e-12)
    root = np.linalg.cholesky(gram + held)  # least squares of these normal equations
    found = lsq_linear(root.T, np.linalg.solve(root, product), _BOUNDS, method="bvls")
    shares: Floats = found.x
    return shares
