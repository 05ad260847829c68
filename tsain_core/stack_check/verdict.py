"""What the scores of a check say: differences between models with their intervals, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..evaluation.intervals import student_reach
from ..evaluation.metrics import Scores, mean_scores
from ..inference.models import BASELINES
from .fit_shares import Mixed

_LEAST = 0.05  # dB; smaller differences are none
_WORTH = 0.02  # dB that mixing, or a slower network, must gain
_MIXED = " + mean"  # behind the name of a network
_CEILING = 99.0  # dB that identical images count as

Outcome = Literal["better", "worse", "even"]


@dataclass(frozen=True)
class Comparison:
    """How much better one model is than another, over the triplets of a check.

    Attributes
    ----------
    model, other : str
    difference : float
        Mean difference of `quality` in dB; above 0 where `model` is better.
    low, high : float
        Its 95 % interval over triplets (Student's t); infinite for a single triplet.
    triplets : int
    """

    model: str
    other: str
    difference: float
    low: float
    high: float
    triplets: int

    @property
    def outcome(self) -> Outcome:
        """Of `model`; "even" where the interval holds 0 or the difference is below 0.05 dB."""
        if abs(self.difference) < _LEAST:
            return "even"
        if self.triplets > 1 and self.low <= 0 <= self.high:
            return "even"
        return "better" if self.difference > 0 else "worse"

    def sentence(self) -> str:
        """The comparison in words, with what to do."""
        model, other = in_words(self.model), in_words(self.other)
        size = f"{abs(self.difference):.1f} dB"
        if self.outcome == "even":
            return f"On this stack {model} and {other} are equally good ({self._interval()})."
        text = f"On this stack {model} is {size} {self.outcome} than {other} ({self._interval()})."
        if self.outcome == "better":
            return text
        use = f"use {other}" if self.other in BASELINES else f"use the model {self.other}"
        remedy = use.capitalize() if self.model in BASELINES else f"Fine-tune it, or {use}"
        return f"{text} {remedy}."

    def _interval(self) -> str:
        if self.triplets == 1:
            return "from a single triplet"
        if self.outcome == "even":
            return f"interval {self.low:+.1f} to {self.high:+.1f} dB, {self.triplets} triplets"
        low, high = sorted((abs(self.low), abs(self.high)))
        return f"interval {low:.1f} to {high:.1f} dB, {self.triplets} triplets"


@dataclass(frozen=True)
class StackCheck:
    """Scores of models on some slices of a stack.

    Attributes
    ----------
    slices : tuple of int
        Slices that were left out.
    scores : mapping
        Model -> its scores, in the order of `slices`.
    mixed : mapping
        Network -> how it is mixed with the mean on this stack, and its scores; of stacks with
        enough triplets.
    """

    slices: tuple[int, ...]
    scores: Mapping[str, tuple[Scores, ...]]
    mixed: Mapping[str, Mixed] = field(default_factory=dict)

    def best_mixed(self) -> tuple[str, Mixed | None]:
        """The best model, and how it is mixed; None where it is best as it is.

        Mixing, and a network that comes later, because it is slower, must gain 0.02 dB.
        """
        baselines = [name for name in self.scores if name in BASELINES]
        best = self.best(baselines) if baselines else next(iter(self.scores))
        found: tuple[str, Mixed | None] = best, None
        for network in (name for name in self.scores if name not in baselines):
            least = 0.0 if best in baselines else _WORTH
            if self.compare(network, best).difference > least:
                best, found = network, (network, None)
            fit, mix = self.mixed.get(network), mixed_name(network)
            if fit and fit.changes and self.compare(mix, best).difference > _WORTH:
                best, found = mix, (network, fit)
        return found

    def best(self, names: Iterable[str] | None = None) -> str:
        """Name of the model with the highest mean quality, of all or of these."""
        return max(names or self.scores, key=lambda name: float(np.mean(self._quality(name))))

    def compare(self, model: str, other: str) -> Comparison:
        """A model against another one, triplet by triplet."""
        differences = self._quality(model) - self._quality(other)
        count = len(differences)
        mean = float(differences.mean())
        if count == 1:
            return Comparison(model, other, mean, -np.inf, np.inf, 1)
        reach = student_reach(differences)
        return Comparison(model, other, mean, mean - reach, mean + reach, count)

    def verdict(self, model: str) -> Comparison:
        """A model against the best of all that were checked; the best against the best baseline."""
        best = self.best()
        if model in (best, mixed_name(best)):
            best = self.best(name for name in BASELINES if name != model)
        return self.compare(model, best)

    def sentence(self, model: str) -> str:
        """The verdict on a model in words, and what mixing it with the mean would gain."""
        text = self.verdict(model).sentence()
        if model not in self.mixed or not self.mixed[model].changes:
            return text
        gain = self.compare(mixed_name(model), model)
        if gain.outcome != "better":
            return text
        return f"{text} Mixed with the mean of neighbours, {model} gains {gain.difference:.1f} dB."

    def table(self, model: str) -> str:
        """Mean scores of a model, of the two plain baselines and of the best, a line each."""
        network = next((n for n in self.mixed if model in (n, mixed_name(n))), None)
        both = (network, mixed_name(network)) if network else (model,)
        names = dict.fromkeys((*both, "mean", "optical-flow", self.best()))
        width = max(map(len, names))
        means = {name: self.mean(name) for name in names}
        return "\n".join(
            f"{name:<{width}}  PSNR {s.psnr:5.2f} dB, structure {s.structure:5.2f} dB, "
            f"SSIM {s.ssim:.3f}"
            for name, s in means.items()
        )

    def mean(self, model: str) -> Scores:
        """Mean scores of a model."""
        return mean_scores(self._known[model])

    @property
    def _known(self) -> dict[str, tuple[Scores, ...]]:
        """Scores of all models, and of networks mixed with the mean."""
        mixed = {mixed_name(n): c.scores for n, c in self.mixed.items()}
        return {**self.scores, **mixed}

    def _quality(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Mean of PSNR and structure in dB, of each triplet.

        PSNR alone rewards blur on noisy stacks, structure alone does not see fine detail.
        """
        scores = self._known[name]
        pairs = [(min(s.psnr, _CEILING), min(s.structure, _CEILING)) for s in scores]
        return np.array(pairs, np.float64).mean(1)


def mixed_name(network: str) -> str:
    """What a network is called that is mixed with the mean of neighbours."""
    return f"{network}{_MIXED}"


def in_words(name: str) -> str:
    """A model in a sentence: "the mean of neighbours blurred by 1 pixel", "tsain-lite"."""
    if name not in BASELINES:
        network, mixed, _ = name.partition(_MIXED)
        return f"{network} mixed with the mean" if mixed else name
    method, _, sigma = name.partition("-blur")
    text = {"mean": "the mean of neighbours", "optical-flow": "optical flow"}[method]
    return f"{text} blurred by {sigma} pixel{'s' if sigma != '1' else ''}" if sigma else text
