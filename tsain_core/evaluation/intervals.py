"""How sure a mean over slices is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_RESAMPLES, _SEED = 4000, 0


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval; infinite ends where there is a single value."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """Mean of some values, one a slice, with its 95 % confidence interval.

    Parameters
    ----------
    values : sequence of float
        Finite; differences of the same slices, to compare two models.

    Returns
    -------
    Interval
        The bootstrap's percentiles over the slices, but nowhere narrower than Student's t: with
        few slices the bootstrap alone is too sure of itself.

    Raises
    ------
    ValueError
        If there are no values.
    """
    known = np.asarray(values, np.float64)
    count = len(known)
    if not count:
        raise ValueError("No values to average; expected at least one.")
    mean = float(known.mean())
    if count == 1:
        return Interval(mean, -np.inf, np.inf)
    reach = student_reach(known)
    drawn = np.random.default_rng(_SEED).integers(count, size=(_RESAMPLES, count))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(known[drawn].mean(1), (tail, 100 - tail))
    return Interval(mean, min(float(low), mean - reach), max(float(high), mean + reach))


def student_reach(values: NDArray[np.float64]) -> float:
    """How far Student's interval of a mean reaches on each side of it.

    Parameters
    ----------
    values : ndarray (n,)
        Two or more.
    """
    from scipy.special import stdtrit  # scipy.stats has the same, and takes a second to import

    count = len(values)
    return float(stdtrit(count - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1)) / count**0.5
