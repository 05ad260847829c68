"""From disagreement to grey levels: fitted on real slices that were left out.

The variance of the error is a weighted sum of the features, with weights of at least 0; the errors
divided by its root then have one distribution, whose quantiles turn it into intervals. There is no
constant in the sum, so that it holds for any range of grey values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from .features import Disagreement

#: Probabilities for which quantiles are kept.
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
#: Share of true grey values that an interval is to hold.
COVERAGE = 0.9
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class ErrorSample:
    """Pixels of a slice that was left out.

    Attributes
    ----------
    features : (3, n)
        As `Disagreement.stacked`.
    error : (n,)
        Computed minus real.
    shape : (int, int)
        Of the slice, where all its pixels are taken, row by row; else (0, 0).
    """

    features: NDArray[np.float32]
    error: NDArray[np.float32]
    shape: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Calibration:
    """Weights of the features, and quantiles of the scaled errors.

    Attributes
    ----------
    weights : (float, float, float)
        Of neighbours, views and overall in the variance.
    quantiles : tuple of float
        Of |error| / deviation, at `LEVELS`.
    slices : int
        How many it was fitted on.
    origin : str
        Where they came from, for people.
    """

    weights: tuple[float, float, float]
    quantiles: tuple[float, ...]
    slices: int
    origin: str = ""

    def deviation(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standard deviation of the error; features as `Disagreement.stacked`."""
        variance = np.tensordot(np.array(self.weights, np.float32), features, 1)
        deviation: NDArray[np.float32] = np.sqrt(np.maximum(variance, 0))
        return deviation

    def half_width(self, features: Disagreement, coverage: float = COVERAGE) -> NDArray[np.float32]:
        """Half the width of the interval that holds the true grey value (y, x).

        Parameters
        ----------
        features : Disagreement
        coverage : float
            Share of pixels that it is to hold, 0.1 to 0.99.
        """
        factor = np.float32(np.interp(coverage, LEVELS, self.quantiles))
        return factor * self.deviation(features.stacked())

    def to_json(self) -> dict[str, Any]:
        """For a file beside the weights, and for results."""
        return {"format": _FORMAT, "levels": list(LEVELS), **vars(self)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Calibration:
        """Inverse of `to_json`.

        Raises
        ------
        TsainError
            If it is not what `to_json` makes.
        """
        try:
            weights = tuple(float(w) for w in values["weights"])
            quantiles = tuple(float(q) for q in values["quantiles"])
            good = len(weights) == 3 and tuple(values["levels"]) == LEVELS
            good = good and len(quantiles) == len(LEVELS) and list(quantiles) == sorted(quantiles)
            good = good and bool(np.isfinite([*weights, *quantiles]).all()) and min(weights) >= 0
            if not good or values["format"] != _FORMAT:
                raise ValueError("unexpected values")
            made = weights[0], weights[1], weights[2]
            return Calibration(made, quantiles, int(values["slices"]), str(values["origin"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TsainError(
                "The calibration of the uncertainty that comes with the program cannot be "
                "understood; install napari-tsain again."
            ) from error


def fit(samples: Sequence[ErrorSample], origin: str = "") -> Calibration:
    """Fit a calibration; each slice counts as much as any other.

    Raises
    ------
    ValueError
        If there are no samples.
    """
    from scipy.optimize import nnls

    if not samples:
        raise ValueError("No slices to calibrate on; expected at least one.")
    rows, targets = [], []
    for sample in samples:
        features, squared = _binned(sample)
        scale = 1 / np.sqrt(squared * max(float(squared.mean()), 1e-30) + 1e-30)
        rows.append(features * scale[:, None])
        targets.append(squared * scale)
    weights, _ = nnls(np.concatenate(rows), np.concatenate(targets))
    if not weights.any():  # neighbours that do not differ at all
        weights[0] = 1.0
    found = Calibration((float(weights[0]), float(weights[1]), float(weights[2])), (), 0)
    ratios = [_ratios(sample, found) for sample in samples]
    quantiles = np.quantile(_pooled(ratios), LEVELS)
    return Calibration(
        found.weights, tuple(round(float(q), 4) for q in quantiles), len(samples), origin
    )


def _pooled(ratios: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """All pixels together, as many of each slice."""
    count = min(len(r) for r in ratios)
    return np.concatenate([r[:: max(len(r) // count, 1)][:count] for r in ratios])


def _ratios(sample: ErrorSample, found: Calibration) -> NDArray[np.float32]:
    deviation = found.deviation(sample.features)
    ratios = np.abs(sample.error) / np.maximum(deviation, 1e-12)
    return ratios.astype(np.float32)


def _binned(sample: ErrorSample, bins: int = 12) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of the features and of the squared error, in bins of equal size of each local feature.

    Single squared errors are far too scattered for a fit.
    """
    features, squares = [], []
    for values in sample.features[:2]:
        order = np.argsort(values)
        for part in np.array_split(order, min(bins, len(order))):
            features.append(sample.features[:, part].mean(1))
            squares.append(float((sample.error[part].astype(np.float64) ** 2).mean()))
    return np.array(features, np.float64), np.array(squares)


def coverage(
    samples: Iterable[ErrorSample], found: Calibration, level: float = COVERAGE
) -> tuple[float, ...]:
    """Share of pixels whose error lies within the interval, of each slice."""
    factor = float(np.interp(level, LEVELS, found.quantiles))
    return tuple(float((_ratios(sample, found) <= factor).mean()) for sample in samples)


def calibration_file(model: Path) -> Path:
    """Where the calibration of a model file lies: beside it."""
    return model.with_suffix(".uncertainty.json")


def load_calibration(path: Path) -> Calibration:
    """Read a calibration.

    Raises
    ------
    TsainError
        If it cannot be read or understood.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TsainError(
            f"The calibration {path.name} cannot be read; install napari-tsain again."
        ) from error
    return Calibration.from_json(values)
