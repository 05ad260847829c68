"""Maps of uncertainty for the slices of a schedule."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inference.intensity import IntensityRange
from ..inference.models import Image, SliceModel, run_to_end
from ..inference.nonfinite import fill_pair
from ..interpolation.schedule import OutputSlice, Schedule, halvings
from .calibration import Calibration
from .features import SECOND_VIEW, compared


@dataclass(frozen=True)
class MapReady:
    """A map in the dtype of the volume: half the width of the 90 % interval; 0 in real slices.

    Attributes
    ----------
    index : int
        Slice of the result.
    image : ndarray (y, x)
        In grey levels; integers are rounded up.
    """

    index: int
    image: NDArray[Any]


def uncertainty_maps(
    volume: Any,
    schedule: Schedule,
    model: SliceModel,
    calibration: Calibration,
    intensity: IntensityRange,
    done: Collection[int] = (),
) -> Iterator[MapReady]:
    """Maps for all slices of a schedule, in order.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    schedule : Schedule
    model : SliceModel
        Computes each slice twice: as it is, and in its turned, time-reversed view.
    calibration : Calibration
    intensity : IntensityRange
        As the slices were computed with.
    done : collection of int
        Slices of the result that are left out.

    Yields
    ------
    MapReady
    """
    ordered = ((i, wanted) for i, wanted in enumerate(schedule.slices) if i not in done)
    for ends, wanted in groupby(ordered, key=lambda item: (item[1].before, item[1].after)):
        gap = list(wanted)
        if ends[0] == ends[1]:
            for index, _ in gap:
                yield MapReady(index, np.zeros(volume.shape[1:], volume.dtype))
            continue
        before, after = (intensity.to_unit(volume[z]) for z in ends)
        for index, image in _gap(gap, before, after, model, calibration):
            grey = np.nan_to_num(image) * np.float32(intensity.hi - intensity.lo)
            yield MapReady(index, _as(grey, volume.dtype))


def _gap(
    gap: list[tuple[int, OutputSlice]],
    before: Image,
    after: Image,
    model: SliceModel,
    calibration: Calibration,
) -> Iterator[tuple[int, Image]]:
    """Half widths of the slices between two real ones, scaled as these are."""
    pair = fill_pair(before, after)
    ends = {Fraction(0): pair.before, Fraction(1): pair.after}
    first = dict(ends)
    turn = SECOND_VIEW.turn
    second = {at: np.ascontiguousarray(turn.apply(image)) for at, image in ends.items()}
    for index, wanted in gap:
        for low, middle, high in halvings(wanted.fraction, model.any_position):
            if middle not in first:
                share = (middle - low) / (high - low)
                first[middle] = run_to_end(model.between(first[low], first[high], share))
                second[middle] = run_to_end(model.between(second[high], second[low], 1 - share))
        at = wanted.fraction
        features = compared(pair.before, pair.after, first[at], turn.undo(second[at]))
        yield index, calibration.half_width(features)


def _as(grey: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind not in "ui":
        return grey.astype(dtype)
    return np.clip(np.ceil(grey), 0, np.iinfo(dtype).max).astype(dtype)
