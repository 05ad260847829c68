"""What a report holds, apart from how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..evaluation.intervals import Interval, interval
from ..evaluation.metrics import Scores
from ..inference.models import BASELINES
from ..inspection import Inspection
from ..stack_check import Comparison, StackCheck
from .cautions import Caution

#: Names of the scores, as in `Scores`.
MEASURES = tuple(f.name for f in fields(Scores))
#: Ends the name of a network whose slices are blurred.
BLURRED = ", blurred by 1 pixel"
#: The cubic in z, which needs more slices than a run has for each.
CUBIC = "cubic"
_CEILING = 99.0  # dB that identical images count as


@dataclass(frozen=True, eq=False)
class WorstCase:
    """A slice on which the chosen model is far off, in grey levels 0 to 255.

    Attributes
    ----------
    z : int
    before, truth, after, computed, other : (y, x)
        `other` was computed by the method that is compared with.
    scores : Scores
        Of the whole crop.
    """

    z: int
    before: NDArray[np.float32]
    truth: NDArray[np.float32]
    after: NDArray[np.float32]
    computed: NDArray[np.float32]
    other: NDArray[np.float32]
    scores: Scores


@dataclass(frozen=True, eq=False)
class ErrorStack:
    """Computed minus real grey values of the slices that were left out, in levels of 0 to 255.

    Attributes
    ----------
    images : dict
        z -> float16 (y, x), of the central crop.
    shape : (int, int, int)
        Of the stack.
    corner : (int, int)
        First row and column of the crop.
    """

    images: dict[int, NDArray[np.float16]]
    shape: tuple[int, int, int]
    corner: tuple[int, int]


@dataclass(frozen=True, eq=False)
class StackReport:
    """Scores of methods on a stack, and what to make of them.

    Attributes
    ----------
    title : str
        Of the stack.
    facts : dict
        What the stack is: JSON-able, for people.
    chosen : str
        The model that the report is about.
    check : StackCheck
        Scores of all methods on the slices that were left out.
    inner : int
        Slices with two neighbours, of which those were chosen.
    crop : (int, int)
        Side along y and x of what was scored.
    cautions : tuple of Caution
        What makes the scores mislead.
    inspection : Inspection or None
        None where the stack was too large to be looked through.
    worst : tuple of WorstCase
    errors : ErrorStack
    """

    title: str
    facts: Mapping[str, str]
    chosen: str
    check: StackCheck
    inner: int
    crop: tuple[int, int]
    cautions: tuple[Caution, ...]
    inspection: Inspection | None
    worst: tuple[WorstCase, ...]
    errors: ErrorStack

    @property
    def rival(self) -> str:
        """The best of the other methods; blurred versions of the chosen model do not count."""
        return rival_of(self.check, self.chosen)

    def mean(self, method: str, measure: str) -> Interval:
        """Mean of a score over the slices."""
        return interval(values_of(self.check, method, measure))

    def difference(self, other: str, measure: str) -> Interval:
        """How much higher the chosen model scores than another method, slice by slice."""
        return difference(self.check, self.chosen, other, measure)

    def verdict(self, other: str) -> Comparison:
        """The chosen model against another method, by the mean of PSNR and structure."""
        mean, low, high = astuple(self.difference(other, "quality"))
        return Comparison(self.chosen, other, mean, low, high, len(self.check.slices))

    def sentences(self) -> list[str]:
        """The verdict against the best other model, and against the best of the baselines."""
        plain = self.check.best(name for name in BASELINES if name != self.chosen)
        return [self.verdict(name).sentence() for name in dict.fromkeys((self.rival, plain))]

    def to_json(self) -> dict[str, Any]:
        """All numbers, for programs."""
        check = self.check
        others = [name for name in check.scores if name != self.chosen]
        return {
            "format": 1,
            "software": f"napari-tsain {__version__}",
            "stack": {"name": self.title, **self.facts},
            "chosen": self.chosen,
            "crop": list(self.crop),
            "slices": list(check.slices),
            "inner_slices": self.inner,
            "interval": "95 %, bootstrap over slices, nowhere narrower than Student's t",
            "verdicts": self.sentences(),
            "cautions": [vars(caution) for caution in self.cautions],
            "methods": {
                name: {
                    "mean": {m: vars(self.mean(name, m)) for m in MEASURES},
                    "slices": {m: values_of(check, name, m) for m in MEASURES},
                }
                for name in check.scores
            },
            "differences": {
                name: {
                    "outcome": self.verdict(name).outcome,
                    **{m: vars(self.difference(name, m)) for m in (*MEASURES, "quality")},
                }
                for name in others
            },
            "worst": [case.z for case in self.worst],
            "damage": None if self.inspection is None else self.inspection.rows(),
        }


def values_of(check: StackCheck, method: str, measure: str) -> list[float]:
    """A score on each slice; "quality" is the mean of PSNR and structure. All are finite."""
    scores = check.scores[method]
    if measure == "quality":
        return [(min(s.psnr, _CEILING) + min(s.structure, _CEILING)) / 2 for s in scores]
    values = [float(getattr(s, measure)) for s in scores]
    return [min(v, _CEILING) if np.isfinite(v) or v > 0 else 0.0 for v in values]


def difference(check: StackCheck, model: str, other: str, measure: str) -> Interval:
    """How much higher a model scores than another, slice by slice."""
    pair = (values_of(check, name, measure) for name in (model, other))
    return interval([a - b for a, b in zip(*pair, strict=True)])


def rival_of(check: StackCheck, chosen: str) -> str:
    """The best of the other methods that can be used for a run."""
    no_rivals = (chosen, CUBIC)
    rivals = (n for n in check.scores if n not in no_rivals and not n.endswith(BLURRED))
    return check.best(rivals)
