"""Faults between slices: lost slices, and shifts that all later slices share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .findings import Finding, severity
from .measures import REACH
from .statistics import Measures

_LOST, _TIMES = 0.57, 3.2  # slices; deviations of what is measured where none are lost
_UPPER, _DEVIATIONS = 90, 1.2816  # percentile, and where it lies in a normal distribution
_ROUND, _SIDE = 3, 2  # slices on each side of a gap that it is measured on: at most, at least
_ACROSS = REACH * (REACH + 1) // 2  # pairs that lie across a place
_FEWEST = 6  # pairs at each distance
_LEAST, _LEAST_STEP, _LOWEST = 0.02, 1e-3, -1.2  # likeness; logarithms
_LEAST_SCALE = 0.05
_HOLD = 0.3  # how much a slice's own quality is held back, against one pair
_STEP = 0.04  # of a side
_REMAINS, _SAME = 0.5, 0.35  # of a gap without a slice; of a shift: how far others may be off
_HARDLY = 0.5  # of the likeness on the other side


def find_steps(measures: Measures, sound: Sequence[int]) -> Iterator[Finding]:
    """Slices from which on the stack is shifted, and single ones that are displaced."""
    for a, b in zip(sound, sound[1:], strict=False):
        pair = measures.pairs.get((a, b))
        if pair is None:
            continue
        size = float(np.hypot(*pair.shift))
        limit = max(6.0, _STEP * measures.side) * (b - a)
        if size <= limit:
            continue
        y, x = pair.shift
        z = _displaced(measures, a, b)
        if z is None:
            reason = f"from here on ({y:+.0f}, {x:+.0f}) pixels (y, x) off the slices before"
            yield Finding(b, "shifted", severity(size / limit), reason, replace=False)
        else:
            y, x = pair.shift if z == b else -pair.shift
            reason = f"lies ({y:+.0f}, {x:+.0f}) pixels (y, x) off its neighbours"
            yield Finding(z, "shifted", severity(size / limit), reason)


def _displaced(measures: Measures, a: int, b: int) -> int | None:
    """Which of two slices that lie off each other is displaced; None if all later ones are, too.

    A step is seen in all pairs across it. Where one slice is displaced, only its own pairs show it;
    where no other pair shows anything, its pair on the other side is hardly alike.
    """
    pairs = measures.pairs
    shift = pairs[a, b].shift

    def shown(*which: tuple[int, int]) -> bool:
        found = [pair.shift for p in which if (pair := pairs.get(p))]
        return any(np.hypot(*(s - shift)) <= _SAME * np.hypot(*shift) for s in found)

    by_a = shown((a, b + 1), (a, b + 2))
    by_b = shown((a - 1, b), (a - 2, b))
    if shown((a - 1, b + 1)) or (by_a and by_b):
        return None
    if by_a or by_b:
        return a if by_a else b
    outer = pairs.get((a - 1, a)), pairs.get((b, b + 1))
    if outer[0] is None or outer[1] is None:
        return None
    if outer[0].alike < _HARDLY * outer[1].alike:
        return a
    return b if outer[1].alike < _HARDLY * outer[0].alike else None


def find_breaks(measures: Measures, sound: Sequence[int]) -> list[int]:
    """Slices behind a fault between slices that is seen without either of the two beside it.

    A damaged slice is unlike those on both sides, and looks like a gap or a step from one of them.
    What remains when its pairs are left out is no fault of it.
    """
    likeness = Likeness.of(measures, sound)
    gaps = [
        f.z
        for f in find_gaps(measures, sound)
        if likeness and min(likeness.lost(f.z, (), z) for z in (f.z - 1, f.z)) > _REMAINS * _LOST
    ]
    steps = [f.z for f in find_steps(measures, sound) if not f.replace and _lasts(measures, f.z)]
    return sorted({*gaps, *steps})


def _lasts(measures: Measures, z: int) -> bool:
    """Whether the slices on both sides lie as they should: only what is between is at fault."""
    outer = [measures.pairs.get(p) for p in ((z - 2, z - 1), (z, z + 1))]
    return not any(p is not None and p.shift.any() for p in outer)


def find_gaps(measures: Measures, sound: Sequence[int]) -> Iterator[Finding]:
    """Slices behind a gap that is wider than the others, by how much the two sides differ.

    The widest gap first, then the rest without the pairs that lie across it.
    """
    likeness = Likeness.of(measures, sound)
    if likeness is None:
        return
    places = [
        b for a, b in zip(sound[_SIDE - 1 :], sound[_SIDE : 1 - _SIDE], strict=False) if b - a == 1
    ]
    lost = {b: likeness.lost(b, ()) for b in places}
    gaps: list[int] = []
    while left := [b for b in places if all(abs(b - gap) >= _SIDE for gap in gaps)]:
        b = max(left, key=lambda place: lost[place])
        elsewhere = [lost[c] for c in left if abs(c - b) >= _ROUND]
        if not elsewhere:
            return
        middle, upper = np.percentile(elsewhere, (50, _UPPER))
        scale = max((upper - middle) / _DEVIATIONS, _LEAST_SCALE)
        share = likeness.across(b) / _ACROSS
        score = share * float(min(lost[b] / _LOST, (lost[b] - middle) / (_TIMES * scale)))
        if score < 1:
            return
        count = "one or two slices" if lost[b] < 1.4 else "several slices"
        reason = f"about {1 + lost[b]:.1f} slices behind the one before: {count} may be lost"
        yield Finding(b, "gap", severity(score), reason, replace=False)
        gaps.append(b)
        lost |= {c: likeness.lost(c, gaps) for c in left if c != b and abs(c - b) <= 2 * _ROUND}


@dataclass(frozen=True, eq=False)
class Likeness:
    """How much slices are alike, on a logarithmic scale.

    The likeness of two slices is taken for a product: what is usual at their distance, times a
    factor of each of the two, which is small in blurred, noisy or damaged slices. Lost slices make
    all pairs across the gap less alike, a bad slice all of its own pairs. So both can be told apart
    where there are slices enough on both sides.

    Attributes
    ----------
    pairs : dict
        (z, later z) -> logarithm of the likeness, against the usual one at this distance.
    usual : (REACH,)
        Logarithm of the usual likeness of slices one, two, ... apart.
    """

    pairs: Mapping[tuple[int, int], float]
    usual: NDArray[np.float64]

    @staticmethod
    def of(measures: Measures, sound: Sequence[int]) -> Likeness | None:
        """Of these slices of a stack; None where there are too few."""
        whole = set(sound)
        alike = {p: n.alike for p, n in measures.pairs.items() if whole.issuperset(p)}
        by_distance = [
            [value for (a, b), value in alike.items() if b - a == d] for d in range(1, REACH + 1)
        ]
        if min(map(len, by_distance)) < _FEWEST:
            return None
        usual = np.log([max(float(np.median(values)), _LEAST) for values in by_distance])
        pairs = {
            (a, b): max(float(np.log(max(value, _LEAST / 2))) - usual[b - a - 1], _LOWEST)
            for (a, b), value in alike.items()
        }
        return Likeness(pairs, usual)

    def across(self, b: int) -> int:
        """How many pairs there are of a slice before `b` and one from `b` on."""
        return sum(i < b <= j for i, j in self.pairs)

    def lost(self, b: int, gaps: Collection[int], without: int | None = None) -> float:
        """How many slices are missing before slice `b`, by least squares.

        Parameters
        ----------
        b : int
        gaps : collection of int
            Slices behind gaps that are known: pairs across them are left out.
        without : int, optional
            A slice whose pairs are left out.
        """
        slices = range(b - _ROUND, b + _ROUND)
        known = [
            (i, j)
            for i, j in combinations(slices, 2)
            if (i, j) in self.pairs
            and without not in (i, j)
            and not any(i < gap <= j for gap in gaps)
        ]
        weights = np.exp(self.usual)
        steps = np.minimum(np.diff(self.usual, append=self.usual[-1]), -_LEAST_STEP)
        steps[-1] = min(steps[-2], steps[-1])
        table = np.zeros((len(known) + len(slices), len(slices) + 1))
        values = np.zeros(len(table))
        for row, value, (i, j) in zip(table, range(len(known)), known, strict=False):
            weight = weights[j - i - 1]
            row[[i - slices[0], j - slices[0]]] = weight
            row[-1] = weight * steps[j - i - 1] if i < b <= j else 0
            values[value] = weight * self.pairs[i, j]
        table[len(known) :, :-1] = _HOLD * weights[0] * np.eye(len(slices))
        return float(np.linalg.lstsq(table, values, rcond=None)[0][-1])
