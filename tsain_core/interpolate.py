"""Running a schedule over a volume: slices come out in order, progress with every tile."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._memory import return_freed_memory
from ._read_ahead import ReadSlice, reading_ahead
from .detail import add_detail
from .intensity import IntensityRange, estimate_range
from .models import Image, SliceModel, TileDone
from .schedule import Schedule, evaluations, halvings


@dataclass(frozen=True)
class Step:
    """Part of a slice is done: progress, and a place to stop.

    Attributes
    ----------
    index : int
        Slice of the result that is being computed.
    done : float
        Runs of the model that are finished, with the fraction of this one.
    total : int
        Runs of the model in all, one for each synthetic slice as a rule; real slices cost nothing.
    """

    index: int
    done: float
    total: int


@dataclass(frozen=True)
class Finished:
    """A slice of the result, in the dtype of the volume.

    Real slices are the very values of the source.
    """

    index: int
    image: NDArray[Any]
    synthetic: bool


def interpolate(
    volume: Any,
    schedule: Schedule,
    model: SliceModel,
    intensity: IntensityRange | None = None,
) -> Iterator[Step | Finished]:
    """Compute a schedule.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
        Read a slice at a time, the next one while the present one is worked on.
    schedule : Schedule
    model : SliceModel
    intensity : IntensityRange, optional
        Of the whole volume; None estimates it with the model's percentiles.

    Yields
    ------
    Step or Finished
        `Finished` in ascending order of z, each slice of the schedule once. Closing the generator
        stops within a tile. Where one of the two real slices has no data, because a chunk was never
        written, synthetic slices have none either: they hold the fill value.

    Raises
    ------
    TsainError
        If memory does not suffice.
    """
    intensity = intensity or estimate_range(volume, model.percentiles)
    total = evaluations(schedule, model.any_position)
    done = 0
    ordered = enumerate(schedule.slices)
    gaps = [
        (ends, list(wanted))
        for ends, wanted in groupby(ordered, key=lambda item: (item[1].before, item[1].after))
    ]
    with _memory_returned(), reading_ahead(volume, intensity) as slices:
        for i, (ends, gap) in enumerate(gaps):
            following = gaps[i + 1][0] if i + 1 < len(gaps) else ()
            read = slices.want(ends, following)
            before, after = (read[z] for z in ends)
            if before is after:
                for index, _ in gap:
                    yield Finished(index, before.real, synthetic=False)
                continue
            missing = _either(before, after)
            if missing is not None and missing.all():
                part = Schedule(tuple(wanted for _, wanted in gap), schedule.step)
                done += evaluations(part, model.any_position)
                for index, _ in gap:
                    yield Finished(index, _fill_of(before, after), synthetic=True)
                continue
            # an array object stays the same from gap to gap: models know slices by it
            known = {Fraction(0): before.scaled, Fraction(1): after.scaled}
            for index, wanted in gap:
                for low, middle, high in halvings(wanted.fraction, model.any_position):
                    if middle in known:
                        continue
                    work = model.between(known[low], known[high], (middle - low) / (high - low))
                    known[middle] = yield from _steps(work, index, done, total)
                    done += 1
                computed, at = known[wanted.fraction], wanted.fraction
                if model.detail:
                    # not in `known`: what is computed from this slice is computed from the soft one
                    pair = before.scaled, after.scaled
                    computed = add_detail(computed, *pair, at, model.detail)
                image = intensity.from_unit(computed, volume.dtype)
                if missing is not None:
                    image[missing] = _fill_of(before, after)[missing]
                yield Finished(index, image, synthetic=True)


def _either(before: ReadSlice, after: ReadSlice) -> NDArray[np.bool_] | None:
    """Where one of the slices has no data; None: nowhere."""
    masks = [s.missing for s in (before, after) if s.missing is not None]
    return np.logical_or.reduce(masks) if masks else None


def _fill_of(before: ReadSlice, after: ReadSlice) -> NDArray[Any]:
    """An image that holds the fill value where one of the slices has no data."""
    if before.missing is None:
        return after.real
    if after.missing is None:
        return before.real
    return np.where(before.missing, before.real, after.real)


@contextmanager
def _memory_returned() -> Iterator[None]:
    """Give back what networks on CPU keep, when a run ends."""
    try:
        yield
    finally:
        return_freed_memory()


def _steps(
    work: Generator[TileDone, None, Image], index: int, done: int, total: int
) -> Generator[Step, None, Image]:
    """Pass on a model's progress; returns its image."""
    reached = 0.0
    while True:
        try:
            tile = next(work)
        except StopIteration as stop:
            image: Image = stop.value
            return image
        reached = max(reached, tile.done / tile.total)  # out of memory, a model starts anew
        yield Step(index, done + reached, total)
