"""The brightness of a computed slice, from more slices than the two it is computed from.

How bright a section comes out is an accident of its preparation. Where brightness jumps from slice
to slice, the mean of the two neighbours is a poor guess of what lies between them, and that of more
neighbours a better one: a kernel smoother along z with triangular weights, as wide as does best on
slices that are left out (Hastie et al., The Elements of Statistical Learning, 6.1 and 7.10).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from .intensity import IntensityRange

#: Slice -> its mean grey value.
Levels = Mapping[int, float]
#: First slice of a gap -> grey values that a slice half-way through it is brighter.
Shifts = Mapping[int, float]

#: Slices on each side whose brightness may count.
CHOICES = (1, 2, 3, 4, 6, 8)
#: Most of them.
MOST_SLICES = 16
_FEWEST = 6  # slices that must have been left out
_CONFIDENCE = 0.95  # that more slices than the pair do better
_PATCH, _PATCHES = 128, 3  # side in pixels; patches a side


def slice_levels(volume: Any, slices: Iterable[int]) -> dict[int, float]:
    """Mean grey value of slices, of 9 patches of up to 128 x 128 pixels.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    slices : iterable of int

    Returns
    -------
    dict
        Slice -> mean of its finite values, 0 left out where values are integers: padding. Slices
        that cannot be read, hold nothing else, or were computed are not in it.
    """
    computed = set(getattr(volume, "computed", ()))
    wanted = sorted({z for z in slices if 0 <= z < volume.shape[0]} - computed)
    sums: dict[int, tuple[float, int]] = {}
    for z, y, x, patch in _patches(volume, wanted):
        total, count = sums.get(z, (0.0, 0))
        values = patch[_counts(volume, patch, z, y, x)]
        sums[z] = total + float(values.sum(dtype=np.float64)), count + values.size
    return {z: total / count for z, (total, count) in sums.items() if count}


def choose_slices(levels: Levels) -> int:
    """How many slices on each side foretell the brightness of a slice best.

    Parameters
    ----------
    levels : mapping

    Returns
    -------
    int
        1, the pair alone, unless more do better on the slices that are left out one by one, by a
        one-sided t-test of their squared errors at 95 %.
    """
    from scipy.special import stdtrit

    ordered = sorted(levels)
    inner = [z for z in ordered if {z - 1, z + 1} <= levels.keys()]
    if len(inner) < _FEWEST:
        return 1
    errors = {
        count: np.array([(_foretold(levels, ordered, z, z, count) - levels[z]) ** 2 for z in inner])
        for count in CHOICES
    }
    needed = float(stdtrit(len(inner) - 1, _CONFIDENCE)) / len(inner) ** 0.5
    gains = {count: errors[1] - errors[count] for count in CHOICES[1:]}
    good = [n for n, gain in gains.items() if gain.mean() > needed * gain.std(ddof=1)]
    return min((1, *good), key=lambda count: float(errors[count].mean()))


def shifts_of(levels: Levels, gaps: Iterable[tuple[int, int]], count: int) -> dict[int, float]:
    """How much brighter slices between two slices are than the mean of these.

    Parameters
    ----------
    levels : mapping
        Of real slices that are good.
    gaps : iterable of (int, int)
        The slices on both sides.
    count : int
        Slices on each side whose brightness counts; nearer ones more.
    """
    ordered = sorted(levels)
    return {
        before: _foretold(levels, ordered, before + 1, after - 1, count)
        - (levels[before] + levels[after]) / 2
        for before, after in gaps
        if before in levels and after in levels
    }


def find_shifts(
    volume: Any, gaps: Sequence[tuple[int, int]], count: int, damaged: Collection[int] = ()
) -> dict[int, float]:
    """Measure brightness round gaps, and how much brighter slices in them are.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    gaps : sequence of (int, int)
        The slices on both sides of each.
    count : int
        Slices on each side whose brightness counts; with 1 nothing is measured.
    damaged : collection of int
        Slices that do not count.
    """
    if count < 2:
        return {}
    near = {z for gap in gaps for z in _nearest(volume.shape[0], damaged, gap, count)}
    return shifts_of(slice_levels(volume, near), gaps, count)


@dataclass(frozen=True)
class Brighter:
    """Adds the brightness that slices of a gap have beyond that of their neighbours.

    Attributes
    ----------
    half_way : float
        What the middle is brighter, with grey values scaled to [0, 1].
    inside : ndarray of bool (y, x) or None
        False where both slices are 0, which is padding and stays; None: everywhere.
    """

    half_way: float
    inside: NDArray[np.bool_] | None

    @classmethod
    def between(
        cls, before: NDArray[Any], after: NDArray[Any], shift: float, intensity: IntensityRange
    ) -> Brighter | None:
        """Of a gap whose middle is so many grey values brighter; None of none.

        Parameters
        ----------
        before, after : ndarray (y, x)
            As they are in the volume.
        shift : float
        intensity : IntensityRange
        """
        if not shift:
            return None
        inside = (before != 0) | (after != 0) if before.dtype.kind in "ui" else None
        return cls(shift / (intensity.hi - intensity.lo), inside)

    def add(self, image: NDArray[np.float32], fraction: Fraction) -> NDArray[np.float32]:
        """An image at a fraction of the gap, as much brighter as it is there.

        All of it in the middle, nothing beside real slices.
        """
        shift = np.float32(self.half_way * float(4 * fraction * (1 - fraction)))
        brighter: NDArray[np.float32] = image + (
            shift if self.inside is None else shift * self.inside
        )
        return brighter


def _foretold(levels: Levels, ordered: Sequence[int], first: int, last: int, count: int) -> float:
    """Level between the slices before `first` and those behind `last`; `ordered` are all known."""
    total = weights = 0.0
    before, behind = bisect_left(ordered, first), bisect_right(ordered, last)
    for side in (
        ordered[max(0, before - count) : before][::-1],
        ordered[behind : behind + count],
    ):
        for rank, z in enumerate(side):
            total += (count - rank) * levels[z]
            weights += count - rank
    return total / weights


def _nearest(
    depth: int, damaged: Collection[int], gap: tuple[int, int], count: int
) -> Iterable[int]:
    """The good slices next to a gap, so many on each side."""
    for side in (range(gap[0], -1, -1), range(gap[1], depth)):
        left = count
        for z in side:
            if not left:
                break
            if z not in damaged:
                left -= 1
                yield z


def _patches(volume: Any, slices: Sequence[int]) -> Iterator[tuple[int, int, int, NDArray[Any]]]:
    """(z, y, x, patch) of slices; those that cannot be read are left out."""
    _, height, width = volume.shape
    deep, rows, columns = getattr(volume, "chunks", (1, height, width))
    corners = [(y, x) for y in _starts(height) for x in _starts(width)]
    if rows >= height and columns >= width:  # a patch costs as much as the whole slice
        for z in slices:
            try:
                image = np.asarray(volume[z])
            except TsainError:
                continue
            yield from ((z, y, x, image[_box(y, x)]) for y, x in corners)
        return
    for _, group in groupby(slices, key=lambda z: z // deep):
        together = list(group)
        for y, x in corners:
            yield from ((z, y, x, patch) for z, patch in _read(volume, together, y, x))


def _read(volume: Any, slices: Sequence[int], y: int, x: int) -> list[tuple[int, NDArray[Any]]]:
    """A patch of slices that lie in the same chunks."""
    try:
        slab = np.asarray(volume.read(slice(slices[0], slices[-1] + 1), *_box(y, x)))
    except TsainError:
        if len(slices) == 1:
            return []
        return [found for z in slices for found in _read(volume, [z], y, x)]
    return [(z, slab[z - slices[0]]) for z in slices]


def _starts(length: int) -> list[int]:
    """Where patches begin along a side; side by side where it is short."""
    if length <= _PATCH * _PATCHES:
        return list(range(0, length, _PATCH))
    return [(length - _PATCH) * i // (_PATCHES - 1) for i in range(_PATCHES)]


def _box(y: int, x: int) -> tuple[slice, slice]:
    return slice(y, y + _PATCH), slice(x, x + _PATCH)


def _counts(volume: Any, patch: NDArray[Any], z: int, y: int, x: int) -> NDArray[np.bool_]:
    """Which grey values tell how bright a slice is: not padding, nor what has no data."""
    good: NDArray[np.bool_] = patch != 0 if patch.dtype.kind in "ui" else np.isfinite(patch)
    missing = getattr(volume, "missing", None)
    gaps = missing(patch, z, y, x) if missing else None
    return good if gaps is None else good & ~gaps
