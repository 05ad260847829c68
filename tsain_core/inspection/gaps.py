"""Faults between slices: lost slices, and shifts that all later slices share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import median_abs_deviation

from .findings import Finding, severity
from .measures import REACH
from .statistics import Measures

_WIDE = 1.7  # slices: gaps from here on are named
_TIMES = 1.2  # deviations from what is usual
_DROP = 0.8  # of the likeness that one slice further usually costs
_STEP = 0.04  # of a side


def find_steps(measures: Measures, sound: Sequence[int]) -> Iterator[Finding]:
    """Slices from which on the stack is shifted."""
    for a, b in zip(sound, sound[1:], strict=False):
        pair = measures.pairs.get((a, b))
        if pair is None:
            continue
        size = float(np.hypot(*pair.shift))
        limit = max(6.0, _STEP * measures.side)
        if size > limit:
            y, x = pair.shift
            reason = f"from here on ({y:+.0f}, {x:+.0f}) pixels (y, x) off the slices before"
            yield Finding(b, "shifted", severity(size / limit), reason, replace=False)


def is_break(measures: Measures, finding: Finding) -> bool:
    """Whether the slices on both sides lie as they should: only what is between is at fault."""
    z = finding.z
    outer = [measures.pairs.get(p) for p in ((z - 2, z - 1), (z, z + 1))]
    return finding.kind == "gap" or not any(p is not None and p.shift.any() for p in outer)


def find_gaps(measures: Measures, sound: Sequence[int]) -> Iterator[Finding]:
    """Slices behind a gap that is wider than the others, by how much the two sides differ."""
    likeness = {
        d: np.array([p.alike for (a, b), p in measures.pairs.items() if b - a == d])
        for d in range(1, REACH + 1)
    }
    if len(likeness[1]) < 8:
        return
    usual = [float(np.median(likeness[d])) for d in range(1, REACH + 1)]
    scales = [float(median_abs_deviation(likeness[d], scale="normal")) for d in likeness]
    for a, b in zip(sound, sound[1:], strict=False):
        pair = measures.pairs.get((a, b))
        if pair is None or b - a != 1 or not _both_sides(measures, a, b, usual):
            continue
        width = _width(pair.alike, usual)
        unlike = _unlike(measures, a, b, usual, scales)
        drop = _drop(measures, a, b, usual)
        if width >= _WIDE and unlike >= _TIMES and drop >= _DROP:
            count = "one or two slices" if width < 2.4 else "several slices"
            reason = f"about {width:.1f} slices behind the one before: {count} may be lost"
            score = min(drop / _DROP, unlike / _TIMES)
            yield Finding(b, "gap", severity(score), reason, replace=False)


def _drop(measures: Measures, a: int, b: int, usual: Sequence[float]) -> float:
    """How much less two slices are alike than those before and after, in usual losses a slice."""
    outer = [measures.pairs[p].alike for p in ((a - 1, a), (b, b + 1)) if p in measures.pairs]
    here = min(usual[0], float(np.mean(outer))) if outer else usual[0]
    return (here - measures.pairs[a, b].alike) / max(usual[0] - usual[1], 0.01)


def _unlike(
    measures: Measures, a: int, b: int, usual: Sequence[float], scales: Sequence[float]
) -> float:
    """How much less than usual the two sides of a gap resemble each other, in deviations."""
    across = ((a, b), (a - 1, b), (a, b + 1))
    less = [
        (usual[j - i - 1] - measures.pairs[i, j].alike) / max(scales[j - i - 1], 0.005)
        for i, j in across
        if (i, j) in measures.pairs
    ]
    return float(np.mean(less))


def _width(alike: float, usual: Sequence[float]) -> float:
    """Distance in slices at which two slices are so much alike."""
    return float(np.interp(-alike, [-u for u in usual], range(1, len(usual) + 1)))


def _both_sides(measures: Measures, a: int, b: int, usual: Sequence[float]) -> bool:
    """Whether the slices on either side fit those behind them: the fault lies in between."""
    outer = [measures.pairs.get(p) for p in ((a - 1, a), (b, b + 1))]
    return all(p is None or p.alike > (usual[0] + usual[1]) / 2 for p in outer)
