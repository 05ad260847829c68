"""Which slices come out, which of them are real, and from what the others are computed.

Pure arithmetic on z indices. A synthetic slice lies in a *gap* between two real slices. Models that
reach any position compute it directly, where it should be. Networks that compute the middle of two
slices reach positions within a gap by halving it repeatedly, to 1/8 of the gap, or to 1/16
beside a real slice: no slice is further than 1/16 of its gap from where it should be. Long runs of
damaged slices and large factors are halved further, so that each slice has a place of its own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ..errors import TsainError
from ..inference.brightness import Shifts, find_shifts

#: More slices than any stack has.
MOST_SLICES = 1_000_000
_SHOWN = 40  # characters of a text in a message
#: How often a gap is halved; once more beside a real slice.
DEPTH = 3
#: Most slices that one slice can become.
LARGEST_FACTOR = 16


@dataclass(frozen=True)
class OutputSlice:
    """One slice of the result.

    Attributes
    ----------
    position : Fraction
        Where it lies, in slices of the source.
    before, after : int
        The real slices of the source on both sides; equal if this is a real slice.
    fraction : Fraction
        Position within the gap, 0 to 1; for models that compute the middle only a multiple of 1/8,
        or 1/16 or 15/16, or of 1/16 for large factors.
    """

    position: Fraction
    before: int
    after: int
    fraction: Fraction

    @property
    def synthetic(self) -> bool:
        """Whether it is computed."""
        return self.before != self.after


@dataclass(frozen=True)
class Schedule:
    """All slices of the result, ascending in z, `step` source slices apart.

    Attributes
    ----------
    slices : tuple of OutputSlice
    step : Fraction
        The z voxel size of the result over that of the source.
    shifts : mapping or None
        First slice of a gap -> grey values that its middle is brighter than the mean of both ends;
        None until it is measured, where the settings call for it. See
        `tsain_core.inference.brightness`.
    """

    slices: tuple[OutputSlice, ...]
    step: Fraction
    shifts: Shifts | None = None

    @property
    def synthetic(self) -> tuple[int, ...]:
        """Indices of the computed slices in the result."""
        return tuple(i for i, s in enumerate(self.slices) if s.synthetic)

    @property
    def damaged(self) -> frozenset[int]:
        """Slices of the source that nothing is computed from, between those that are."""
        return frozenset(z for s in self.slices for z in range(s.before + 1, s.after))

    def brightened(self, volume: Any, count: int) -> Schedule:
        """With the brightness of `count` slices on each side; as it is where that is known."""
        if self.shifts is not None:
            return self
        gaps = sorted({(s.before, s.after) for s in self.slices if s.synthetic})
        return replace(self, shifts=find_shifts(volume, gaps, count, self.damaged))

    @property
    def largest_shift(self) -> float:
        """Largest distance of a slice from where it should be, in slices of the source."""
        return max(
            (
                abs(float(s.before + s.fraction * (s.after - s.before) - s.position))
                for s in self.slices
            ),
            default=0.0,
        )


def parse_slices(text: str) -> tuple[int, ...]:
    """Slice numbers from "12,57-59" -> (12, 57, 58, 59).

    Raises
    ------
    TsainError
        If the text is not of this form.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise TsainError(
                f"{part.strip()[:_SHOWN]!r} is no slice or range of slices; write them like "
                "12,57-59, counted from 0."
            )
        if last >= MOST_SLICES:  # before the numbers of a range fill the memory
            raise TsainError(
                f"Slice {last} is beyond the end of any stack; write slices like 12,57-59, counted "
                "from 0."
            )
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def by_factor(
    depth: int, factor: int, damaged: Iterable[int] = (), exact: bool = False
) -> Schedule:
    """`factor` times as many slices: (depth - 1) * factor + 1 of them.

    Parameters
    ----------
    depth : int
        Slices in the source.
    factor : int
        1 (only replace) to 16.
    damaged : iterable of int
        Slices to compute from their nearest undamaged neighbours.
    exact : bool
        The model reaches any position, so fractions are not rounded to 1/8.

    Raises
    ------
    TsainError
        If the factor is none of these, or a damaged slice has no neighbour on one side.
    """
    if not 1 <= factor <= LARGEST_FACTOR:
        raise TsainError(
            f"The factor is {factor}; it must be an integer from 2 to {LARGEST_FACTOR}. For more "
            "slices, interpolate the result again."
        )
    positions = [Fraction(i, factor) for i in range((depth - 1) * factor + 1)]
    return _schedule(depth, positions, Fraction(1, factor), damaged, exact)


def by_step(
    depth: int, step: Fraction, damaged: Iterable[int] = (), exact: bool = False
) -> Schedule:
    """Slices at 0, step, 2 step, ... as far as the source reaches; `step` in source slices.

    Raises
    ------
    TsainError
        If the step is not between 1/16 and 1, or a damaged slice has no neighbour on one side.
    """
    if not Fraction(1, LARGEST_FACTOR) <= step < 1:
        raise TsainError(
            f"The new z voxel size is {float(step):.3g} of the old one; it must be from "
            f"1/{LARGEST_FACTOR} to less than 1. Interpolate in two runs, or check the unit."
        )
    positions = [i * step for i in range(int((depth - 1) / step) + 1)]
    return _schedule(depth, positions, step, damaged, exact)


def between(depth: int, first: int, last: int, factor: int, exact: bool = False) -> Schedule:
    """Slices `first` to `last`, and `factor` - 1 computed ones in each gap between them.

    All real slices stay, so z never gets coarser. Slices between that are damaged are replaced with
    `by_factor`.

    Raises
    ------
    TsainError
        If the slices are not in the volume, or not in order.
    """
    if not 0 <= first < last < depth:
        raise TsainError(
            f"Slices {first} and {last} were given; they must be two different ones in order, "
            f"0 to {depth - 1}."
        )
    inner = by_factor(last - first + 1, factor, exact=exact)
    slices = tuple(
        OutputSlice(first + s.position, first + s.before, first + s.after, s.fraction)
        for s in inner.slices
    )
    return Schedule(slices, inner.step)


def reachable_fraction(fraction: Fraction, positions: int) -> Fraction:
    """The nearest fraction of a gap that few halvings reach.

    `positions` is how many places of the gap are to be told apart. Never 0 or 1: no exact copy of a
    real slice goes by the name of another position.
    """
    parts = 2 ** max(DEPTH, (positions - 1).bit_length())
    nearest = Fraction(1, 2 * parts)
    return min(max(Fraction(round(fraction * parts), parts), nearest), 1 - nearest)


def halvings(
    fraction: Fraction, any_position: bool = False
) -> list[tuple[Fraction, Fraction, Fraction]]:
    """How to reach a position in a gap: (low, middle, high) to compute in order.

    `fraction` lies in between, and is a multiple of 1/2**n unless the model reaches any position
    in one run.
    """
    low, high = Fraction(0), Fraction(1)
    if any_position:
        return [(low, fraction, high)]
    if not low < fraction < high or fraction.denominator & (fraction.denominator - 1):
        raise ValueError(f"{fraction} is not reached by halving; make schedules with exact=False.")
    steps: list[tuple[Fraction, Fraction, Fraction]] = []
    while not steps or steps[-1][1] != fraction:
        middle = (low + high) / 2
        steps.append((low, middle, high))
        low, high = (middle, high) if fraction > middle else (low, middle)
    return steps


def evaluations(schedule: Schedule, any_position: bool = False) -> int:
    """How often a model has to run for a schedule."""
    return len(
        {
            (s.before, s.after, middle)
            for s in schedule.slices
            if s.synthetic
            for _, middle, _ in halvings(s.fraction, any_position)
        }
    )


def _schedule(
    depth: int,
    positions: Sequence[Fraction],
    step: Fraction,
    damaged: Iterable[int],
    exact: bool,
) -> Schedule:
    if depth < 2:
        raise TsainError(f"The volume has {depth} slice; expected at least 2 to compute between.")
    bad = set(damaged)
    outside = sorted(z for z in bad if not 0 <= z < depth)
    if outside:
        raise TsainError(
            f"Slice {outside[0]} is to be replaced, but the volume has slices 0 to {depth - 1}; "
            "slices are counted from 0."
        )
    good = [z for z in range(depth) if z not in bad]
    if bad and (0 in bad or depth - 1 in bad or len(good) < 2):
        raise TsainError(
            "The first or the last slice is to be replaced, but nothing lies beyond it to compute "
            "it from; crop the volume instead."
        )
    slices = []
    for position in positions:
        at = bisect_right(good, position) - 1
        below = good[at]
        if position == below:
            slices.append(OutputSlice(position, below, below, Fraction(0)))
            continue
        above = good[at + 1]
        fraction = (position - below) / (above - below)
        if not exact:
            fraction = reachable_fraction(fraction, int((above - below) / step))
        slices.append(OutputSlice(position, below, above, fraction))
    return Schedule(tuple(slices), step)
