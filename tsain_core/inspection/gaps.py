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


def find_steps(measures: Measures, sound: Sequence[int]) -> Iterator[Finding]:
    """Slices from which on the stack is shifted."""
    for a, b in zip(sound, sound[1:], strict=False):
        pair = measures.pairs.get((a, b))
        if pair is None:
            continue
        size = float(np.hypot(*pair.shift))
        limit = max(6.0, _STEP * measures.side)
        if size > limit * (b - a):
            y, x = pair.shift
            reason = f"from here on ({y:+.0f}, {x:+.0f}) pixels (y, x) off the slices before"
            yield Finding(b, "shifted", severity(size / limit / (b - a)), reason, replace=False)


def is_break(measures: Measures, finding: Finding) -> bool:
    """Whether the slices on both sides lie as they should: only what is between is at fault."""
    z = finding.z
    outer = [measures.pairs.get(p) for p in ((z - 2, z - 1), (z, z + 1))]
    return finding.kind == "gap" or not any(p is not None and p.shift.any() for p in outer)


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

    def lost(self, b: int, gaps: Collection[int]) -> float:
        """How many slices are missing before slice `b`, by least squares.

        Parameters
        ----------
        b : int
        gaps : collection of int
            Slices behind gaps that are known: pairs across them are left out.
        """
        slices = range(b - _ROUND, b + _ROUND)
        known = [
            (i, j)
            for i, j in combinations(slices, 2)
            if (i, j) in self.pairs and not any(i < gap <= j for gap in gaps)
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
