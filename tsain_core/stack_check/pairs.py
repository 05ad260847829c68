"""A cheap look, before a run, at the pairs of slices that others will be computed from."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, Wording, argument, as_python
from ..inspection.measures import shift_between, spectrum_of, texture_of
from ..interpolation.schedule import Schedule
from ..interpolation.selection import format_slices
from ..volumes import Volume

Kind = Literal["lost", "wide", "unlike", "shifted", "brightness"]

_SIDE = 256  # pixels of the middle of a slice that are looked at
_SMALLEST = 96  # pixels: smaller slices say little
_BUDGET = 1 << 29  # voxels that may be read, in whole chunks
_MOST, _LEAST = 1000, 24  # slices that are looked at
_FLAT = 0.05  # of the usual spread of grey values: a slice that shows nothing
_WIDE = 4  # slices of the source from one end of a gap to the other
_UNLIKE = 0.12  # correlation of textures, after the shift; and of what is usual in the stack
_LESS = 0.4
_SHIFTED = 2.5  # pixels
_JUMP = 0.4  # of the usual spread of grey values
_SHOWN = 8  # slices that are named


@dataclass(frozen=True)
class Advice:
    """Something about the pairs of a run that its user should know.

    Attributes
    ----------
    kind : str
    slices : tuple of int
        z of the slices that it is about.
    text : str
        One line: what was found, and what can be done.
    """

    kind: Kind
    slices: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        return self.worded(as_python)

    def worded(self, wording: Wording) -> str:
        """The line in the words of a front end; see `tsain_core.errors.argument`."""
        return TsainError(self.text).worded(wording)


@dataclass(frozen=True, eq=False)
class _Look:
    """What is known of the middle of a slice."""

    level: float
    spread: float
    texture: NDArray[np.float32]
    spectrum: NDArray[np.complex64]


@dataclass(frozen=True)
class _Pair:
    before: int
    after: int
    likeness: float
    shift: float
    jump: float


def check_pairs(
    volume: Volume, schedule: Schedule, align: bool = False, match_brightness: bool = False
) -> Generator[tuple[int, int], None, tuple[Advice, ...]]:
    """Look at the pairs of slices of a run: lost ones, wide gaps, misalignment, brightness.

    Only the middle of slices is read, and of few slices where much would have to be read for it.
    Slices of less than 96 pixels a side are not judged.

    Parameters
    ----------
    volume : Volume
    schedule : Schedule
    align, match_brightness : bool
        What the run does anyway, and so is not advised.

    Yields
    ------
    (int, int)
        Slices that were looked at, and of how many.

    Returns
    -------
    tuple of Advice
    """
    gaps = _chosen(schedule, volume) if min(volume.shape[1:]) >= _SMALLEST else []
    wanted = sorted({z for gap in gaps for z in gap})
    looks: dict[int, _Look | None] = {}
    for i, z in enumerate(wanted):
        looks[z] = _look(volume, z)
        yield i + 1, len(wanted)
    spreads = [look.spread for look in looks.values() if look is not None]
    usual = float(np.median([s for s in spreads if s > 0] or [0.0]))
    lost = tuple(z for z, k in looks.items() if k is None or k.spread <= _FLAT * usual)
    pairs = [_compare(looks[b], looks[a], b, a, usual) for b, a in gaps if not {b, a} & set(lost)]
    return tuple(_advice(pairs, gaps, lost, volume.shape[0], align, match_brightness))


def _chosen(schedule: Schedule, volume: Volume) -> list[tuple[int, int]]:
    """The gaps that are looked at: wide ones, and others spread over the stack."""
    gaps = sorted({(s.before, s.after) for s in schedule.slices if s.synthetic})
    cost = int(np.prod([max(_SIDE, c) for c in volume.chunks[1:]])) * volume.chunks[0]
    most = int(np.clip(_BUDGET // cost, _LEAST, _MOST))
    if "://" in volume.source:
        most = _LEAST
    wide = [gap for gap in gaps if gap[1] - gap[0] > 1][:most]
    step = max(1, -(-len(gaps) // most))
    return sorted({*wide, *gaps[::step]})


def _look(volume: Volume, z: int) -> _Look | None:
    """The middle of a slice; None where nothing in it is known."""
    spans = [slice(max(0, (n - _SIDE) // 2), (n + _SIDE + 1) // 2) for n in volume.shape[1:]]
    image = volume.read(slice(z, z + 1), *spans)[0].astype(np.float32)
    known = np.isfinite(image)
    if not known.any():
        return None
    low, level, high = (float(v) for v in np.percentile(image[known], (10, 50, 90)))
    texture = texture_of(np.where(known, image, np.float32(level)))
    return _Look(level, high - low, texture, spectrum_of(texture))


def _compare(
    before: _Look | None, after: _Look | None, first: int, second: int, usual: float
) -> _Pair:
    assert before is not None and after is not None
    shift = shift_between(before.texture, before.spectrum, after.spectrum)
    moved = np.roll(after.texture, tuple(-int(s) for s in shift), (0, 1))
    energy = float(np.sqrt(np.sum(before.texture**2) * np.sum(moved**2)))
    likeness = float(np.sum(before.texture * moved)) / energy if energy else 0.0
    jump = max(abs(after.level - before.level), abs(after.spread - before.spread))
    return _Pair(first, second, likeness, float(np.hypot(*shift)), jump / (usual or 1.0))


def _advice(
    pairs: list[_Pair],
    gaps: list[tuple[int, int]],
    lost: tuple[int, ...],
    depth: int,
    align: bool,
    match: bool,
) -> Generator[Advice, None, None]:
    if lost:
        yield _lost(lost, depth)
    wide = [gap for gap in gaps if gap[1] - gap[0] >= _WIDE]
    if wide:
        yield Advice(
            "wide",
            tuple(z for gap in wide for z in gap),
            f"Between {_pairs(wide)} lie {max(a - b - 1 for b, a in wide)} slices without a real "
            "one: what is computed there is a guess; look at it, or leave the gap open.",
        )
    near = [p.likeness for p in pairs if p.after - p.before == 1]
    least = max(_UNLIKE, _LESS * float(np.median(near))) if near else _UNLIKE
    unlike = [(p.before, p.after) for p in pairs if p.likeness < least]
    if unlike:
        yield Advice(
            "unlike",
            tuple(z for gap in unlike for z in gap),
            f"{_pairs(unlike, 'Slices')} hardly resemble each other: sections may be lost between "
            "them, and what is computed there is a guess; look at them first.",
        )
    moved = [(p.before, p.after) for p in pairs if p.shift > _SHIFTED and p.likeness >= least]
    if moved and not align:
        most = max(p.shift for p in pairs if p.likeness >= least)
        yield Advice(
            "shifted",
            tuple(z for gap in moved for z in gap),
            f"{_pairs(moved, 'Slices')} lie up to {most:.0f} pixels off each other: align the "
            f"stack first, or the pairs for the computation with {argument('align')}.",
        )
    uneven = [(p.before, p.after) for p in pairs if p.jump > _JUMP]
    if uneven and not match:
        yield Advice(
            "brightness",
            tuple(z for gap in uneven for z in gap),
            f"{_pairs(uneven, 'Slices')} differ in brightness or contrast: "
            f"{argument('match_brightness')} gives what is computed the grey values between them.",
        )


def _lost(lost: tuple[int, ...], depth: int) -> Advice:
    inner = tuple(z for z in lost if 0 < z < depth - 1)
    one = len(lost) == 1
    words = f"Slice {lost[0]} shows" if one else f"Slices {format_slices(lost)} show"
    remedy = (
        f"compute {'it' if len(inner) == 1 else 'them'} from real slices with "
        f"{argument('replace', format_slices(inner))}"
        if inner
        else "leave it out"
        if one
        else "leave them out"
    )
    return Advice("lost", lost, f"{words} nothing, as lost sections do: {remedy}.")


def _pairs(gaps: list[tuple[int, int]], name: str = "slices") -> str:
    shown = ", ".join(f"{b} and {a}" for b, a in gaps[:_SHOWN])
    more = f" and {len(gaps) - _SHOWN} more pairs" if len(gaps) > _SHOWN else ""
    return f"{name} {shown}{more}"
