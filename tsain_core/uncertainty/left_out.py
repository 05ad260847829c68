"""Errors of slices that were left out, for a calibration."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from ..evaluation.leave_one_out import central, read_crop
from ..inference.intensity import estimate_range
from ..inference.slice_model import SliceModel, run_to_end
from ..stack_check.check import CROP, TRIPLETS, Checked
from ..stack_check.triplets import Triplets
from .calibration import Calibration, ErrorSample, fit
from .features import features_of

_PIXELS = 6000  # of a slice, that a calibration takes


def left_out_samples(
    volume: Any,
    model: SliceModel,
    slices: Sequence[int],
    crop: int = CROP,
    reach: int = 1,
    pixels: int | None = _PIXELS,
) -> Generator[ErrorSample, None, None]:
    """Compute slices from the ones `reach` before and after them, and compare.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    model : SliceModel
    slices : sequence of int
    crop : int
        Side in pixels of the central crop.
    reach : int
        1: the neighbours; 2: those behind them.
    pixels : int, optional
        About how many of each slice are taken; all by default of None, row by row.

    Yields
    ------
    ErrorSample
        Of each slice; grey values are scaled by the range of the volume.
    """
    box = central(volume.shape[1:], crop)
    intensity = estimate_range(volume, model.scaling)
    for z in slices:
        before, truth, after = (
            intensity.to_unit(read_crop(volume, i, box)) for i in (z - reach, z, z + reach)
        )
        image, features = run_to_end(features_of(model, before, after))
        error = (image - truth).ravel()
        known = np.flatnonzero(np.isfinite(error))
        chosen = known[:: max(len(known) // (pixels or len(known)), 1)]
        whole = (image.shape[0], image.shape[1]) if len(chosen) == image.size else (0, 0)
        yield ErrorSample(features.stacked().reshape(3, -1)[:, chosen], error[chosen], whole)


def calibrate_on(
    volume: Any, model: SliceModel, triplets: int = TRIPLETS, crop: int = CROP
) -> Generator[Checked, None, Calibration]:
    """Fit a calibration to a stack, by slices of it that are left out.

    Raises
    ------
    TsainError
        If the stack has no triplet that is fit for it.
    """
    known = Triplets(volume, triplets, crop)
    samples = []
    for sample in left_out_samples(known, model, known.slices, crop):
        samples.append(sample)
        yield Checked(len(samples), len(known.slices))
    return fit(samples, f"{len(samples)} slices of this stack, left out")
