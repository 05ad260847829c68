"""What makes scores mislead: blur, copies, neighbours that do not fit, jumps of brightness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import dask.array as da
import numpy as np

from ..evaluation.intervals import interval
from ..inspection import Inspection
from ..inspection.measures import Prepared, compare
from ..inspection.sketch import bin_size, sketches
from ..interpolation.selection import format_slices
from ..stack_check import StackCheck, in_words
from ..stack_check.triplets import Triplets
from ..volumes import Volume

if TYPE_CHECKING:
    from ..evaluation.intervals import Interval

Kind = Literal["blur", "copies", "misaligned", "brightness", "few", "overlap", "learnt", "damage"]

_FEW = 8  # triplets
_SHIFTED = 1.5  # pixels
_JUMP, _GAIN = 0.15, 0.2  # of the spread of grey values; logarithm of a contrast
_COPY, _RATIO = 0.7, 0.2  # detail that copies share; of what neighbours usually do not share
_CLEAN = 0.9  # detail that neighbours share in clean isotropic stacks
_SOFT = 0.2  # sharpness
_OFTEN = 0.1  # of the triplets


@dataclass(frozen=True)
class Caution:
    """Something to know before scores are believed.

    Attributes
    ----------
    kind : str
    text : str
        One or two sentences.
    slices : tuple of int
        Where it was seen; empty where it is about all.
    """

    kind: Kind
    text: str
    slices: tuple[int, ...] = ()


@dataclass(frozen=True)
class TripletFacts:
    """How the slices of a triplet go together.

    Attributes
    ----------
    z : int
        The slice in the middle.
    shift : float
        Largest shift between two of them, in pixels; 0 where none is sure.
    jump : float
        Brightness of the middle one less the mean of its neighbours, in spreads of grey values.
    gain : float
        Logarithm of its contrast over that of its neighbours.
    shared : (float, float)
        Correlation of its finest detail with that of the one before, and of the one after.
    """

    z: int
    shift: float
    jump: float
    gain: float
    shared: tuple[float, float]


def facts_of(known: Triplets, z: int, box: tuple[slice, slice]) -> TripletFacts:
    """Measure the triplet round slice `z`."""
    stack = np.concatenate([known.read(slice(i, i + 1), *box) for i in (z - 1, z, z + 1)])
    three = [Prepared(sketch) for sketch in sketches(Volume(da.from_array(stack)))]
    pairs = [compare(three[i], three[j]) for i, j in ((0, 1), (1, 2), (0, 2))]
    before, here, after = (p.numbers for p in three)
    size = bin_size((stack.shape[1], stack.shape[2]))
    spread = max(float(np.mean([before.spread, here.spread, after.spread])), 1e-12)
    contrast = np.log([max(n.contrast, 1e-12) for n in (before, here, after)])
    return TripletFacts(
        z,
        size * max(float(np.hypot(*p.shift)) for p in pairs),
        float((here.level - (before.level + after.level) / 2) / spread),
        float(contrast[1] - (contrast[0] + contrast[2]) / 2),
        (pairs[0].detail, pairs[1].detail),
    )


def cautions_of(
    check: StackCheck,
    chosen: str,
    facts: Sequence[TripletFacts],
    inspection: Inspection | None,
    learnt: Sequence[str] = (),
    mixed: bool = False,
) -> tuple[Caution, ...]:
    """Everything to know before the scores are believed.

    Parameters
    ----------
    check : StackCheck
    chosen : str
        The model that the report is about.
    facts : sequence of TripletFacts
    inspection : Inspection or None
    learnt : sequence of str
        Models that were fine-tuned on a stack of this name.
    mixed : bool
        Whether the chosen model is mixed with the mean of neighbours.
    """
    found = [*_blur(check, chosen), *_triplets(facts), *_amount(check.slices)]
    if inspection is not None:
        found += _damage(inspection, set(check.slices))
    for name in learnt:
        found.append(
            Caution(
                "learnt",
                f"{name} was fine-tuned on a stack of this name: its scores on slices that it "
                "learnt from are too good. Its card lists the slices that it was judged by.",
            )
        )
    if mixed:
        found.append(
            Caution(
                "learnt",
                f"How {in_words(chosen)} is mixed with the mean of neighbours was found on some of "
                "these slices: its scores are a little too good.",
            )
        )
    return tuple(found)


def _psnr(check: StackCheck, model: str, other: str, measure: str = "psnr") -> Interval:
    pairs = zip(check.scores[model], check.scores[other], strict=True)
    values = [getattr(a, measure) - getattr(b, measure) for a, b in pairs]
    return interval([v if np.isfinite(v) else 0.0 for v in values])


def _blur(check: StackCheck, chosen: str) -> list[Caution]:
    """Where PSNR goes up with blur, and whether the chosen model wins by it."""
    found = []
    blurred = [name for name in check.scores if name.startswith("mean-blur")]
    gains = {name: _psnr(check, name, "mean") for name in blurred}
    best = max(gains, key=lambda name: gains[name].mean, default=None)
    if best is not None and gains[best].low > 0:
        kept = check.mean(best).sharpness
        found.append(
            Caution(
                "blur",
                f"PSNR rewards blur on this stack: {in_words(best)} gains "
                f"{gains[best].mean:.1f} dB of PSNR over the plain mean and keeps "
                f"{100 * kept:.0f} % of the fine contrast of real slices. Compare structure, "
                "SSIM and sharpness, too.",
            )
        )
    own = check.mean(chosen)
    for name in check.scores:
        if name.startswith(f"{chosen},") or check.mean(name).sharpness <= own.sharpness:
            continue
        psnr, structure = (_psnr(check, chosen, name, m) for m in ("psnr", "structure"))
        if psnr.low > 0 and structure.low <= 0:
            how = "is behind" if structure.high < 0 else "not surely"
            found.append(
                Caution(
                    "blur",
                    f"{in_words(chosen)} is ahead of {in_words(name)} by {psnr.mean:.1f} dB of "
                    f"PSNR, but {how} in structure ({structure.low:+.1f} to "
                    f"{structure.high:+.1f} dB): this lead is won by blur.",
                )
            )
    if own.sharpness < _SOFT:
        found.append(
            Caution(
                "blur",
                f"Slices by {in_words(chosen)} are soft: they keep {100 * own.sharpness:.0f} % "
                "of the fine contrast of real slices. Do not measure fine detail in them.",
            )
        )
    return found


def _triplets(facts: Sequence[TripletFacts]) -> list[Caution]:
    usual = min(float(np.median([f.shared for f in facts])), _CLEAN)
    limit = max(_COPY, 1 - _RATIO * (1 - usual))
    copies = tuple(f.z for f in facts if max(f.shared) > limit)
    shifted = tuple(f.z for f in facts if f.shift > _SHIFTED)
    jumps = tuple(f.z for f in facts if abs(f.jump) > _JUMP or abs(f.gain) > _GAIN)
    found, count = [], len(facts)
    if copies:
        found.append(
            Caution(
                "copies",
                f"In {len(copies)} of {count} triplets two slices share their grain, as copies "
                f"do ({_slices(copies)}): scores there are too good.",
                copies,
            )
        )
    if shifted:
        most = max(f.shift for f in facts)
        found.append(
            Caution(
                "misaligned",
                f"In {len(shifted)} of {count} triplets slices are shifted against each other, by "
                f"up to {most:.0f} pixels ({_slices(shifted)}): the scores tell of "
                "the alignment more than of the methods. Align the stack first.",
                shifted,
            )
        )
    if len(jumps) > _OFTEN * count:
        worst = max(abs(f.jump) for f in facts)
        found.append(
            Caution(
                "brightness",
                f"In {len(jumps)} of {count} triplets brightness or contrast jumps, by up to "
                f"{100 * worst:.0f} % of the spread of grey values ({_slices(jumps)}). No "
                "method can foresee that, and it lowers the scores of all: trust differences "
                "between methods more than the scores.",
                jumps,
            )
        )
    return found


def _amount(slices: Sequence[int]) -> list[Caution]:
    found = []
    if len(slices) < _FEW:
        found.append(
            Caution(
                "few",
                f"Only {len(slices)} triplets were scored, so intervals are wide: differences "
                "within them are no differences.",
            )
        )
    near = sum(b - a < 2 for a, b in zip(slices, slices[1:], strict=False))
    if len(slices) > 1 and near > len(slices) / 2:
        found.append(
            Caution(
                "overlap",
                "Triplets overlap, and slices that lie near each other are alike: the true "
                "uncertainty is somewhat larger than the intervals.",
            )
        )
    return found


def _damage(inspection: Inspection, slices: set[int]) -> list[Caution]:
    """Findings of `tsain inspect` that touch a triplet."""
    near = [f for f in inspection.findings if slices & {f.z - 1, f.z, f.z + 1}]
    if not near:
        return []
    kinds = sorted({f.kind for f in near})
    places = tuple(sorted({f.z for f in near}))
    return [
        Caution(
            "damage",
            f"Among the slices that are scored, and their neighbours, some look damaged "
            f"({', '.join(kinds)}): {_slices(places)}. The command tsain inspect has the reasons.",
            places,
        )
    ]


def _slices(places: Sequence[int]) -> str:
    """Text such as: slices 3, 5-6."""
    text = format_slices(places).replace(",", ", ")
    return f"slice{'' if len(places) == 1 else 's'} {text}"
