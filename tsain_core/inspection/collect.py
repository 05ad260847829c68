"""Collects the numbers of a stack, slice by slice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import combinations

from .measures import REACH, PairNumbers, Prepared, Stain, compare, stain
from .statistics import Measures


class Collector:
    """Measures each slice, and compares it with those before it.

    Keeps no more than `measures.REACH` earlier slices.

    Parameters
    ----------
    compare, stain : callable
        `measures.compare` and `measures.stain`, or the same with a cache.

    Attributes
    ----------
    measures : Measures
        Of the slices so far.
    """

    def __init__(
        self,
        compare: Callable[[Prepared, Prepared], PairNumbers] = compare,
        stain: Callable[[Prepared, Prepared, Prepared], Stain] = stain,
    ) -> None:
        self.measures = Measures()
        self._compare, self._stain = compare, stain
        self._recent = deque[tuple[int, Prepared]](maxlen=REACH)

    def add(self, new: Prepared) -> None:
        """Take in the next slice."""
        z, measures = len(self.measures.slices), self.measures
        measures.slices.append(new.numbers)
        measures.side = min(new.image.shape)
        for i, old in self._recent:
            measures.pairs[i, z] = self._compare(old, new)
        for (i, first), (j, second) in combinations(self._recent, 2):
            measures.stains[i, j, z] = self._stain(first, second, new)
        self._recent.append((z, new))
