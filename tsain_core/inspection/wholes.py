"""Slices that are gone as a whole: constant ones, and copies of others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .findings import Finding
from .measures import REACH
from .statistics import Measures

_CONSTANT = 0.08  # of the usual spread of grey values
_COPY, _RATIO = 0.7, 0.2  # detail that copies share; of what neighbours usually do not share


def usual_spread(measures: Measures) -> float:
    """Spread of grey values in slices that have some."""
    spreads = np.array([s.spread for s in measures.slices])
    seen = spreads[spreads > 0.1 * spreads.max()] if spreads.size else spreads
    return float(np.median(seen)) if seen.size and seen.max() > 0 else 1.0


def find_missing(measures: Measures, spread: float) -> Iterator[Finding]:
    """Slices of a single grey value, or nearly so, and slices without numbers."""
    for z, numbers in enumerate(measures.slices):
        if numbers.unknown > 0.5:
            share = round(100 * numbers.unknown)
            yield Finding(z, "missing", 1.0, f"{share} % of its pixels are not finite")
        elif numbers.spread == 0 and np.ptp(numbers.means) <= _CONSTANT * spread:
            yield Finding(z, "missing", 1.0, f"constant: grey value {numbers.level:g}")
        elif numbers.spread < _CONSTANT * spread:
            part = 100 * numbers.spread / spread
            reason = f"nearly constant: {part:.0f} % of the usual spread of grey values"
            yield Finding(z, "missing", 0.95, reason)


def find_copies(measures: Measures) -> Iterator[Finding]:
    """Slices that repeat another one: the one that fits its other neighbour less."""
    usual = {}
    for distance in range(1, REACH + 1):
        detail = [p.detail for (a, b), p in measures.pairs.items() if b - a == distance]
        usual[distance] = float(np.median(detail)) if len(detail) > 3 else 0.0
    for (a, b), pair in sorted(measures.pairs.items()):
        first, second = measures.slices[a], measures.slices[b]
        if first.spread == 0 or second.spread == 0:
            continue
        if first.digest == second.digest:
            z = _lesser(measures, a, b)
            yield Finding(z, "duplicate", 1.0, f"the same grey values as slice {a + b - z}")
        elif pair.detail > _COPY and 1 - pair.detail < _RATIO * (1 - min(usual[b - a], 0.9)):
            z = _lesser(measures, a, b)
            reason = f"shares {100 * pair.detail:.0f} % of its fine detail with slice {a + b - z}"
            yield Finding(z, "duplicate", 0.9, reason)


def _lesser(measures: Measures, a: int, b: int) -> int:
    """Which of two copies stands in the place of a lost slice: the one less like its other side."""
    outer = measures.pairs.get((a - 1, a)), measures.pairs.get((b, b + 1))
    if outer[0] is None or outer[1] is None:
        return b
    return a if outer[0].alike < outer[1].alike else b
