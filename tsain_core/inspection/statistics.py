"""Each slice against its neighbours, and what is usual in this stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from .measures import REACH, PairNumbers, SliceNumbers, Stain

Array = NDArray[np.float64]
_MOST_GAIN = 1.2  # logarithm of a contrast that is taken for that of the whole slice
_PART = 20  # percentile of the tiles: what a slice has lost on one side shows there
#: Slices below and above that one is compared with; at an end of the stack, two on one side.
Neighbours = tuple[int, int]


@dataclass
class Measures:
    """All numbers of a stack.

    Attributes
    ----------
    slices : list of SliceNumbers
    pairs : dict
        (z, later z) -> `PairNumbers`, up to `measures.REACH` slices apart.
    stains : dict
        (z before, z, z after) -> `Stain`, up to `measures.REACH` slices apart.
    side : int
        Shorter side of a sketch in pixels.
    """

    slices: list[SliceNumbers] = field(default_factory=list)
    pairs: dict[tuple[int, int], PairNumbers] = field(default_factory=dict)
    stains: dict[tuple[int, int, int], Stain] = field(default_factory=dict)
    side: int = 0

    @cached_property
    def usual_likeness(self) -> Array:
        """(REACH,): median likeness of slices one, two, ... apart, when all are measured."""
        return np.array(
            [
                np.median([p.alike for (a, b), p in self.pairs.items() if b - a == d] or [0.0])
                for d in range(1, REACH + 1)
            ]
        )


@dataclass(frozen=True, eq=False)
class Look:
    """How a slice differs from what its neighbours let expect.

    Attributes
    ----------
    lost : (2, T)
        How much less each tile resembles its neighbours than these resemble each other, and than
        is usual; NaN where the neighbours are too far to be compared.
    tone : (T,)
        Brightness of each tile, in spreads of the stack, without brightness and contrast of the
        whole slice.
    level, gain : float
        Brightness and contrast of the whole slice.
    focus : (3,)
        Loss of detail, fine to coarse, against the coarsest.
    shift : (y, x)
        In pixels of a sketch.
    flat : float
        Share of a tile that has a single grey value, where its neighbours have more.
    tails : (2,)
        How much darker its darkest parts are, and how much brighter its brightest ones.
    streak : float
        Largest brightness of a row against the rows round it, in spreads of the stack.
    stain : Stain or None
        None where it cannot be compared with a slice on each side.
    """

    lost: Array
    tone: Array
    level: float
    gain: float
    focus: Array
    shift: Array
    flat: float
    tails: Array
    streak: float
    stain: Stain | None


def look(measures: Measures, z: int, neighbours: Neighbours, spread: float) -> Look:
    """Compare a slice with its neighbours.

    Parameters
    ----------
    spread : float
        Usual spread of grey values in the stack.
    """
    a, b = neighbours
    between = a < z < b
    here, one, two = measures.slices[z], measures.slices[a], measures.slices[b]

    def expected(value: Callable[[SliceNumbers], Array | float]) -> Array:
        nearest = value(one if abs(a - z) < abs(b - z) else two)
        return np.asarray((value(one) + value(two)) / 2 if between else nearest, np.float64)

    def log_contrast(numbers: SliceNumbers) -> float:
        return float(np.log(max(numbers.contrast, 1e-3 * spread)))

    gain = log_contrast(here) - float(expected(log_contrast))
    usual = float(expected(lambda s: s.level))
    factor = float(np.exp(np.clip(gain, -_MOST_GAIN, _MOST_GAIN)))

    def unexpected(value: Callable[[SliceNumbers], Array]) -> Array:
        """Grey values that brightness and contrast of the whole slice do not explain."""
        rest = value(here) - (here.level + factor * (expected(value) - usual))
        return np.asarray(rest / spread, np.float64)

    tone = unexpected(lambda s: np.asarray(s.means, np.float64))
    rows = unexpected(lambda s: np.asarray(s.rows, np.float64))
    tails = here.tails - expected(lambda s: np.asarray(s.tails, np.float64))
    bands = here.bands - expected(lambda s: np.asarray(s.bands, np.float64))
    return Look(
        _lost(measures, z, neighbours),
        tone - np.median(tone),
        (here.level - usual) / spread,
        gain,
        bands[3] - bands[:3],
        _shift(measures, z, neighbours),
        float((here.flatness - np.maximum(one.flatness, two.flatness)).max()),
        tails * (-1, 1),
        float(np.abs(rows - gaussian_filter1d(rows, max(len(rows) / 10, 1))).max()),
        measures.stains.get((a, z, b)) if between else None,
    )


def pair_of(measures: Measures, a: int, b: int) -> PairNumbers | None:
    """The comparison of two slices in either order; None where they are too far apart."""
    return measures.pairs.get((min(a, b), max(a, b)))


def _lost(measures: Measures, z: int, neighbours: Neighbours) -> Array:
    a, b = neighbours
    tiles = len(measures.slices[z].means)
    nearest = neighbours if a < z < b else (min(neighbours, key=lambda n: abs(n - z)),)
    pairs = [(n, pair) for n in nearest if (pair := pair_of(measures, n, z))]
    if not pairs:
        return np.full((2, tiles), np.nan)
    best = np.max([pair.likeness for _, pair in pairs], 0).astype(np.float64)
    reference = pair_of(measures, a, b)
    over = np.full(tiles, np.nan) if reference is None else reference.likeness - best
    usual = measures.usual_likeness
    # what a longer way usually takes is no sign of damage
    beside = [pair.likeness + (usual[0] - usual[abs(n - z) - 1]) for n, pair in pairs]
    return np.stack([over, -np.max(beside, 0).astype(np.float64)])


def _shift(measures: Measures, z: int, neighbours: Neighbours) -> Array:
    """Shift against both neighbours, where they agree that it is this slice that is off."""
    a, b = neighbours
    nothing = np.zeros(2)
    if not a < z < b:
        nearest = min(neighbours, key=lambda n: abs(n - z))
        pair, rest = pair_of(measures, nearest, z), pair_of(measures, a, b)
        return pair.shift if pair and rest and not rest.shift.any() else nothing
    before, after = pair_of(measures, a, z), pair_of(measures, z, b)
    if before is None or after is None or float(before.shift @ after.shift) >= 0:
        return nothing
    return min(before.shift, -after.shift, key=lambda s: float(np.hypot(*s)))


def parts(x: Look) -> Array:
    """(2,): how little of the slice, and of its least fitting parts, resembles its neighbours."""
    return np.array([np.median(x.lost[1]), np.percentile(x.lost[1], 100 - _PART)])


Centre = tuple[Array, Array]  # centres and scales


@dataclass(frozen=True, eq=False)
class Usual:
    """Centre and scale of each number over a stack, for slices like the one to be judged."""

    lost: Centre
    parts: Centre
    tone: Centre
    level: Centre
    gain: Centre
    focus: Centre
    tails: Centre
    streak: Centre
    height: Centre
    line: Centre

    @staticmethod
    def of(looks: Iterable[Look]) -> Usual:
        """From looks at all slices; medians, so that a minority of damaged ones hardly counts."""
        every = list(looks)

        def centre(values: Iterable[Array | float], least: float) -> Centre:
            table = np.array([np.ravel(v) for v in values], np.float64)
            if not table.size:
                return np.zeros(1), np.full(1, np.inf)
            return _centre(table, least)

        lost = np.stack([x.lost for x in every], 1).reshape(2, -1)
        return Usual(
            _centre(lost.T, 0.03),
            centre((parts(x) for x in every), 0.01),
            _centre(np.concatenate([x.tone for x in every])[:, None], 0.01),
            centre((x.level for x in every), 0.01),
            centre((x.gain for x in every), 0.01),
            centre((x.focus for x in every), 0.03),
            centre((x.tails for x in every), 0.02),
            centre((x.streak for x in every), 0.005),
            centre((x.stain.height for x in every if x.stain), 0.02),
            centre((x.stain.line for x in every if x.stain), 0.02),
        )


def _centre(table: Array, least: float) -> Centre:
    """Median and robust deviation, at least so large, of each column of numbers that are known."""
    from scipy.stats import median_abs_deviation  # takes a second, in runs that inspect nothing

    columns = [column[np.isfinite(column)] for column in table.T]
    middles = [float(np.median(c)) if c.size else 0.0 for c in columns]
    scales = [median_abs_deviation(c, scale="normal") if c.size else np.inf for c in columns]
    return np.array(middles), np.maximum(np.array(scales, np.float64), least)
