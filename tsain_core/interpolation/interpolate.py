"""Running a schedule over a volume: slices come out in order, progress with every tile."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, argument
from ..inference.brightness import Brighter
from ..inference.finishing import finish
from ..inference.intensity import IntensityRange, estimate_range
from ..inference.models import Image, Keys, SliceKey, SliceModel, TileDone
from ..inference.nonfinite import FinitePair, fill_pair
from ..system.memory import keeping_freed_memory
from .read_ahead import ReadSlice, reading_ahead
from .schedule import OutputSlice, Schedule, evaluations, halvings


@dataclass(frozen=True)
class TileProgress:
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
class SliceReady:
    """A slice of the result, in the dtype of the volume.

    Real slices are the very values of the source.

    Attributes
    ----------
    index : int
    image : ndarray (y, x)
    synthetic : bool
        Whether it was computed.
    without_data : ndarray of bool (y, x) or None
        True where a computed slice has no value, because the source has none there; None: nowhere.
    """

    index: int
    image: NDArray[Any]
    synthetic: bool
    without_data: NDArray[np.bool_] | None = None


def interpolate(
    volume: Any,
    schedule: Schedule,
    model: SliceModel,
    intensity: IntensityRange | None = None,
) -> Iterator[TileProgress | SliceReady]:
    """Compute a schedule.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
        Read a slice at a time, the next one while the present one is worked on.
    schedule : Schedule
    model : SliceModel
    intensity : IntensityRange, optional
        Of the whole volume; None estimates it as the model's weights expect.

    Yields
    ------
    TileProgress or SliceReady
        `SliceReady` in ascending order of z, each slice of the schedule once. Closing the generator
        stops within a tile. Where one of the two real slices has no data, because a chunk was never
        written, synthetic slices have none either: they hold the fill value. They are NaN where
        both real slices are NaN or infinite.

    Raises
    ------
    TsainError
        If memory does not suffice, or the model computes values that are not finite.
    """
    intensity = intensity or estimate_range(volume, model.scaling)
    schedule = schedule.brightened(volume, model.brightness_slices)
    total = evaluations(schedule, model.any_position)
    done, run = 0, object()
    ordered = enumerate(schedule.slices)
    gaps = [
        (ends, list(wanted))
        for ends, wanted in groupby(ordered, key=lambda item: (item[1].before, item[1].after))
    ]
    with keeping_freed_memory(), reading_ahead(volume, intensity) as slices:
        for i, (ends, gap) in enumerate(gaps):
            following = gaps[i + 1][0] if i + 1 < len(gaps) else ()
            read = slices.want(ends, following)
            before, after = (read[z] for z in ends)
            if before is after:
                for index, _ in gap:
                    yield SliceReady(index, before.real, synthetic=False)
                continue
            pair = fill_pair(before.scaled, after.scaled)
            blank = _blank(before, after, pair.hole)
            if blank is not None and blank.mask.all():
                for index, _ in gap:
                    yield SliceReady(index, blank.values, synthetic=True, without_data=blank.mask)
            else:
                filled = pair.before is not before.scaled or pair.after is not after.scaled
                shift = (schedule.shifts or {}).get(ends[0], 0.0)
                brighter = Brighter.between(before.real, after.real, shift, intensity)
                place = _Gap(run, (ends[0], ends[1]), filled, brighter)
                for event in _computed(gap, place, pair, model, done, total):
                    if isinstance(event, TileProgress):
                        yield event
                        continue
                    index, computed = event
                    image = intensity.from_unit(computed, volume.dtype)
                    if blank is None:
                        yield SliceReady(index, image, synthetic=True)
                        continue
                    image[blank.mask] = blank.values[blank.mask]
                    yield SliceReady(index, image, synthetic=True, without_data=blank.mask)
            part = Schedule(tuple(wanted for _, wanted in gap), schedule.step)
            done += evaluations(part, model.any_position)


def slice_between(
    model: SliceModel, before: Image, after: Image, fraction: Fraction = Fraction(1, 2)
) -> Generator[TileDone, None, tuple[Image, NDArray[np.bool_] | None]]:
    """Compute one slice between two that may hold NaN or infinity, and finish it.

    Parameters
    ----------
    model : SliceModel
    before, after : ndarray (y, x)
        Scaled as for `SliceModel.between`.
    fraction : Fraction
        Where it lies; must be one that the model computes directly.

    Returns
    -------
    (ndarray (y, x), ndarray of bool (y, x) or None)
        The slice, finite everywhere, and where neither real slice has a finite value.

    Raises
    ------
    TsainError
        If the model computes values that are not finite.
    """
    pair = fill_pair(before, after)
    with keeping_freed_memory():
        image = yield from _checked(model, pair.before, pair.after, fraction)
    return finish(model, image, pair.before, pair.after, fraction), pair.hole


def _computed(
    gap: Sequence[tuple[int, OutputSlice]],
    place: _Gap,
    pair: FinitePair,
    model: SliceModel,
    done: int,
    total: int,
) -> Generator[TileProgress | tuple[int, Image], None, None]:
    """The slices of a gap, scaled to [0, 1], and progress; `done` runs came before."""
    known = {Fraction(0): pair.before, Fraction(1): pair.after}
    for index, wanted in gap:
        for low, middle, high in halvings(wanted.fraction, model.any_position):
            if middle not in known:
                share = (middle - low) / (high - low)
                keys = place.key(low), place.key(high)
                work = _checked(model, known[low], known[high], share, keys)
                known[middle] = yield from _steps(work, index, done + len(known) - 2, total)
        # not in `known`: what is computed from this slice is computed from the soft one
        image = finish(model, known[wanted.fraction], pair.before, pair.after, wanted.fraction)
        yield index, place.brighter.add(image, wanted.fraction) if place.brighter else image


@dataclass(frozen=True)
class _Gap:
    """The two real slices that are worked on, and the names by which models know what lies there.

    Attributes
    ----------
    run : object
        Of this call of `interpolate`.
    ends : (int, int)
    filled : bool
        Whether NaN of one was filled by the other.
    brighter : Brighter or None
        What makes slices between them brighter; None: nothing.
    """

    run: object
    ends: tuple[int, int]
    filled: bool
    brighter: Brighter | None

    def key(self, fraction: Fraction) -> SliceKey:
        """Of the slice at a fraction of the gap."""
        first, last = self.ends
        changed = self.filled or 0 < fraction < 1
        position = first + fraction * (last - first)
        return SliceKey(self.run, position, self.ends if changed else None, fraction)


def _checked(
    model: SliceModel, before: Image, after: Image, fraction: Fraction, keys: Keys | None = None
) -> Generator[TileDone, None, Image]:
    """`SliceModel.between`, whose result must be finite: NaN would be written as black."""
    if keys is not None and getattr(model, "tiled", None) is not None:  # others keep nothing
        image = yield from model.between(before, after, fraction, keys)
    else:
        image = yield from model.between(before, after, fraction)
    if not np.isfinite(image).all():
        raise TsainError(
            f"The model {model.name} computed values that are not finite (NaN or infinity), so "
            f"nothing is written; choose another model, {argument('precision', 'fp32')}, or grey "
            f"values for black and white that suit the stack ({argument('intensity')})."
        )
    return image


@dataclass(frozen=True)
class _Blank:
    """Where computed slices of a gap have no value, and the image that stands there instead."""

    mask: NDArray[np.bool_]
    values: NDArray[Any]


def _blank(before: ReadSlice, after: ReadSlice, hole: NDArray[np.bool_] | None) -> _Blank | None:
    masks = [m for m in (before.missing, after.missing, hole) if m is not None]
    if not masks:
        return None
    if before.missing is None:
        values = after.real
    elif after.missing is None:
        values = before.real
    else:
        values = np.where(before.missing, before.real, after.real)
    if hole is not None:
        values = np.where(hole, np.array(np.nan, values.dtype), values)
    return _Blank(np.logical_or.reduce(masks), values)


def _steps(
    work: Generator[TileDone, None, Image], index: int, done: int, total: int
) -> Generator[TileProgress, None, Image]:
    """Pass on a model's progress; returns its image."""
    reached = 0.0
    while True:
        try:
            tile = next(work)
        except StopIteration as stop:
            image: Image = stop.value
            return image
        reached = max(reached, tile.done / tile.total)  # out of memory, a model starts again
        yield TileProgress(index, done + reached, total)
