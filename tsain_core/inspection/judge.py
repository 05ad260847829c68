"""From measures to findings: the worst slice first, then the rest without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .findings import Finding, Inspection, severity
from .gaps import find_breaks, find_gaps, find_steps
from .naming import name_damage
from .statistics import Array, Look, Measures, Neighbours, Usual, look, parts
from .wholes import find_copies, find_missing, usual_spread

#: A score of 1 is just enough: a number is so many times its usual deviation off, and so much.
_LIMITS = {
    "lost": (5.0, 0.2),
    "parts": (4.5, 0.1),
    "tone": (7.0, 0.25),
    "level": (6.0, 0.25),
    "gain": (5.0, 0.35),
    "focus": (6.0, 0.7),
    "tails": (6.0, 0.3),
    "streak": (7.0, 0.1),
    "height": (5.5, 0.25),
    "line": (6.0, 0.25),
}
_SHIFT, _FLAT = 0.02, 0.2  # of a side; of a tile
_ONE_SIDED = 1.8  # how much more is required where there are neighbours on one side only
_SHORTEST = 3  # slices between two gaps that are judged by themselves
_POWER = 5  # of the norm over signs: the larger, the less several small ones count
_FARTHER = 0.5  # how much more for each slice that lies between the neighbours


@dataclass(frozen=True, eq=False)
class Excesses:
    """How far beyond what is usual a slice is; 1 is just enough for each."""

    lost: float
    parts: float
    tone: float
    level: float
    gain: float
    focus: float
    tails: float
    streak: float
    height: float
    line: float
    shift: float
    flat: float

    @property
    def together(self) -> float:
        """The largest of them, and more where several kinds of signs speak of damage."""
        signs = (
            max(self.lost, self.parts),
            max(self.tone, self.streak, self.height, self.line),
            max(self.level, self.gain),
            self.focus,
            self.tails,
            self.shift,
            self.flat,
        )
        return float(sum(max(sign, 0.0) ** _POWER for sign in signs) ** (1 / _POWER))


def judge(measures: Measures) -> Inspection:
    """What is wrong in a stack."""
    judge_ = _Judge(measures)
    return Inspection(len(measures.slices), judge_.findings())


class _Judge:
    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._depth = len(measures.slices)
        self._spread = usual_spread(measures)
        self._found: dict[int, Finding] = {}
        self._breaks: list[int] = []

    def findings(self) -> tuple[Finding, ...]:
        for finding in (*find_missing(self._measures, self._spread), *find_copies(self._measures)):
            self._found.setdefault(finding.z, finding)
        self._breaks = find_breaks(self._measures, self._sound)
        if self._depth - len(self._found) >= 3:
            self._find_damaged()
        for finding in self._between():
            self._found.setdefault(finding.z, finding)
        return tuple(self._found[z] for z in sorted(self._found))

    def _between(self) -> list[Finding]:
        """Faults between slices of which none is damaged."""
        return [*find_gaps(self._measures, self._sound), *find_steps(self._measures, self._sound)]

    @property
    def _sound(self) -> list[int]:
        """Slices that are not found damaged, so far."""
        return [z for z in range(self._depth) if z not in self._found]

    def _neighbours(self, z: int) -> Neighbours | None:
        """The nearest sound slices on this side of a gap: one on each side, or two on one side."""
        first = max((b for b in self._breaks if b <= z), default=0)
        end = min((b for b in self._breaks if b > z), default=self._depth)
        if end - first < _SHORTEST:
            if end - first == 2 and (first == 0 or end == self._depth):
                return None  # two slices before the first gap, or behind the last one
            first, end = 0, self._depth
        below = [i for i in range(z - 1, first - 1, -1) if i not in self._found][:2]
        above = [i for i in range(z + 1, end) if i not in self._found][:2]
        if below and above:
            return below[0], above[0]
        rest = sorted(below + above)
        return (rest[0], rest[1]) if len(rest) == 2 else None

    def _find_damaged(self) -> None:
        looks = {z: self._look(z) for z in range(self._depth) if z not in self._found}
        known = {z: x for z, x in looks.items() if x is not None}
        usual = Usual.of(known.values())
        scores = {z: self._score(z, x, usual) for z, x in known.items()}
        while scores:
            z = max(scores, key=lambda i: scores[i].together)
            if scores[z].together < 1:
                return
            self._found[z] = self._named(z, known[z], scores[z])
            del scores[z]
            for near in _around(z, scores):
                if (again := self._look(near)) is not None:
                    known[near], scores[near] = again, self._score(near, again, usual)

    def _look(self, z: int) -> Look | None:
        neighbours = self._neighbours(z)
        return neighbours and look(self._measures, z, neighbours, self._spread)

    def _score(self, z: int, x: Look, usual: Usual) -> Excesses:
        neighbours = self._neighbours(z)
        assert neighbours is not None
        a, b = neighbours
        harder = 1 + _FARTHER * (b - a - 2) if a < z < b else _ONE_SIDED

        def score(name: str, values: Array | float) -> Array:
            middle, scale = getattr(usual, name)
            times, least = _LIMITS[name]
            scores: Array = (values - middle) / (harder * np.maximum(times * scale, least))
            return scores

        tiles = score("lost", x.lost.T).T
        tiles = np.where(np.isfinite(tiles[0]), tiles.min(0), tiles[1])
        size = float(np.hypot(*x.shift))
        return Excesses(
            _largest(tiles),
            _largest(score("parts", parts(x))),
            _largest(np.abs(score("tone", x.tone))),
            _largest(np.abs(score("level", x.level))),
            _largest(np.abs(score("gain", x.gain))),
            _largest(score("focus", x.focus)),
            _largest(score("tails", x.tails)),
            _largest(score("streak", x.streak)),
            _largest(score("height", x.stain.height)) if x.stain else 0.0,
            _largest(score("line", x.stain.line)) if x.stain else 0.0,
            size / (harder * max(4.0, _SHIFT * self._measures.side)),
            x.flat / (harder * _FLAT),
        )

    def _named(self, z: int, x: Look, scores: Excesses) -> Finding:
        kind, reason = name_damage(x, scores)
        return Finding(z, kind, severity(scores.together), reason)


def _around(z: int, left: dict[int, Excesses], reach: int = 3) -> list[int]:
    """The slices next to one that are still to be judged: their neighbours have changed."""
    below = [i for i in range(z - 1, max(z - 50, -1), -1) if i in left][:reach]
    above = [i for i in range(z + 1, z + 50) if i in left][:reach]
    return below + above


def _largest(scores: Array) -> float:
    known = scores[np.isfinite(scores)]
    return float(known.max()) if known.size else 0.0
