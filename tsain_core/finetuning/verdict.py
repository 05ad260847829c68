"""What came of a fine-tuning: the gain with its uncertainty, in words, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..evaluation.intervals import student_reach
from ..evaluation.metrics import Scores
from ..network import TSAIN
from .blocks import Blocks

_FEW = 8  # slices
_CLEARLY = 0.05  # dB by which a baseline has to be ahead to be recommended


@dataclass(frozen=True)
class Gain:
    """Mean difference of a score over slices, with its confidence interval.

    Attributes
    ----------
    mean : float
        After minus before, in dB.
    low, high : float
        Ends of the 95 % interval; infinite where a single slice was scored.
    slices : int
        How many slices were compared.
    """

    mean: float
    low: float
    high: float
    slices: int

    @staticmethod
    def of(before: Sequence[float], after: Sequence[float]) -> Gain:
        """The gain over paired scores of the same slices, by Student's t.

        Parameters
        ----------
        before, after : sequence of float
            One score a slice, in the same order. Pairs that are not finite are left out.
        """
        with np.errstate(invalid="ignore"):  # inf - inf, of slices without a difference
            difference = np.subtract(after, before, dtype=float)
        difference = difference[np.isfinite(difference)]
        n = len(difference)
        mean = float(difference.mean()) if n else 0.0
        if n < 2:
            return Gain(mean, -math.inf, math.inf, n)
        half = student_reach(difference)
        return Gain(mean, mean - half, mean + half, n)

    @property
    def is_sure(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0

    def __str__(self) -> str:
        return f"{self.mean:+.2f}, 95 % interval {self.low:+.2f} to {self.high:+.2f}"


@dataclass(frozen=True)
class Verdict:
    """What came of it.

    Attributes
    ----------
    network : TSAIN
        The better one: fine-tuned, or the start.
    improved : bool
        Whether it is the fine-tuned one.
    scores : dict
        "before", "after", "mean", "optical-flow" -> scores on the block for judging.
    blocks : Blocks
    steps : int
        After which the best weights were reached; 0 if no step gained.
    minutes : float
    gains : dict
        "psnr", "structure" -> `Gain` on the block for judging.
    settled : bool
        Whether learning ended because it no longer gained, not because of its time.
    """

    network: TSAIN
    improved: bool
    scores: dict[str, Scores]
    blocks: Blocks
    steps: int
    minutes: float
    gains: dict[str, Gain] = field(default_factory=dict)
    settled: bool = False

    def sentence(self) -> str:
        """The verdict in words, with what to do next where there is no gain."""
        before, after = self.scores["before"], self.scores["after"]
        psnr, structure = (self.gains.get(name) for name in ("psnr", "structure"))
        first, last = self.blocks.judge
        said = (
            f"PSNR {before.psnr:.2f} -> {after.psnr:.2f} dB{_bracket(psnr)}, structure "
            f"{before.structure:.2f} -> {after.structure:.2f} dB{_bracket(structure)} on slices "
            f"it never saw (z {first} to {last - 1})."
        )
        if self.improved:
            return f"Better: {said}"
        unsure = psnr is not None and psnr.mean > 0 and not psnr.is_sure
        word = "No clear gain" if unsure else "Not better"
        return f"{word}: {said} The model it started from is kept. {self.advice()}"

    def advice(self) -> str:
        """What to do next; empty where the model got better."""
        if self.improved:
            return ""
        baseline = self._better_baseline()
        if baseline:
            return (
                f"Next: interpolate this stack with the model {baseline!r}, which scores better "
                "than both; or start from another model."
            )
        more = "a stack with more slices"
        psnr = self.gains.get("psnr")
        if psnr is not None and psnr.mean > 0 and psnr.slices < _FEW:
            more += ", which would show whether the gain is real"
        if self.settled:
            return (
                "Next: use the model it started from as it is. More time would not help, since it "
                f"had stopped gaining; try {more}, or start from another model."
            )
        return f"Next: give it more minutes, since it had not settled yet; or take {more}."

    def _better_baseline(self) -> str:
        """The baseline that is ahead of the network before and after in both scores, if any."""
        networks = [self.scores["before"], self.scores["after"]]
        ahead = {
            name: s.psnr
            for name, s in self.scores.items()
            if name not in ("before", "after")
            and s.psnr > max(n.psnr for n in networks) + _CLEARLY
            and s.structure > max(n.structure for n in networks) + _CLEARLY
        }
        return max(ahead, key=lambda name: ahead[name]) if ahead else ""


def _bracket(gain: Gain | None) -> str:
    if gain is None:
        return ""
    return f" ({gain} over {gain.slices} slices)" if gain.slices > 1 else " (one slice)"
