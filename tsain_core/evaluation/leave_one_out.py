"""Leave-one-out scores on a stack: each slice is computed from its neighbours and compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, argument
from ..inference.brightness import Brighter, find_shifts
from ..inference.intensity import IntensityRange, estimate_range
from ..inference.models import SliceModel, run_to_end
from ..interpolation.interpolate import slice_between
from .cubic import CubicInZ
from .metrics import STRUCTURE_SIGMA, WINDOW, Scores, mean_scores, score

#: Side in pixels of the central crop that is scored.
CROP = 512


@dataclass(frozen=True)
class TripletScore:
    """Scores of one model on slice `z`, computed from z - 1 and z + 1."""

    z: int
    model: str
    scores: Scores


@dataclass(frozen=True, eq=False)
class LeftOut:
    """A slice that was left out, and what a model computed in its place.

    Attributes
    ----------
    z : int
    model : str
    image, truth : float32 (y, x)
        Computed and real, in grey levels 0 to 255.
    valid : ndarray of bool (y, x)
        Pixels that count.
    """

    z: int
    model: str
    image: NDArray[np.float32]
    truth: NDArray[np.float32]
    valid: NDArray[np.bool_]

    @property
    def scores(self) -> Scores:
        """Of the whole crop."""
        return score(self.image, self.truth, self.valid)


def evaluate(
    volume: Any,
    models: Sequence[SliceModel | CubicInZ],
    crop: int = CROP,
    every: int = 1,
    slices: Sequence[int] | None = None,
) -> Iterator[TripletScore]:
    """Score models on every triplet of a stack.

    Parameters, errors and grey values are those of `leave_out`.

    Yields
    ------
    TripletScore
        For each triplet, one a model.
    """
    for left in leave_out(volume, models, crop, every, slices):
        yield TripletScore(left.z, left.model, left.scores)


def leave_out(
    volume: Any,
    models: Sequence[SliceModel | CubicInZ],
    crop: int = CROP,
    every: int = 1,
    slices: Sequence[int] | None = None,
) -> Iterator[LeftOut]:
    """Leave slices of a stack out, one after the other, and compute each from its neighbours.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    models : sequence of SliceModel or CubicInZ
    crop : int
        Side of the central crop; smaller slices are taken whole. The models see only the crop.
    every : int
        Take every n-th triplet.
    slices : sequence of int, optional
        Slices left out, from 1 to depth - 2, instead of every n-th; `spread_slices` chooses some.

    Yields
    ------
    LeftOut
        For each triplet, one a model; only pixels count that are finite in the real slice and in
        one of its neighbours.

    Raises
    ------
    TsainError
        If the stack has fewer than three slices, slices or crop are too small, or no pixel can be
        scored.

    Notes
    -----
    Grey values of dtypes other than uint8 are scaled before they are compared: their 0.1 and 99.9
    percentiles become 0 and 255.
    """
    _check(volume.shape, crop, every)
    depth, height, width = volume.shape
    box = central((height, width), crop)
    found = {p: estimate_range(volume, p) for p in {m.scaling for m in models}}
    # the same for all models, so that their scores can be compared
    grey = estimate_range(volume) if volume.dtype != np.uint8 else None
    scored = False
    for z in slices if slices is not None else range(1, depth - 1, every):
        triplet = [read_crop(volume, i, box) for i in (z - 1, z, z + 1)]
        truth = _grey(triplet[1], grey)
        for model in models:
            intensity = found[model.scaling]
            before, after = (intensity.to_unit(triplet[i]) for i in (0, 2))
            if isinstance(model, CubicInZ):
                outer = [_outer(volume, i, box, intensity) for i in (z - 2, z + 2)]
                image, hole = model.between((outer[0], before, after, outer[1])), None
            else:
                image, hole = run_to_end(slice_between(model, before, after))
                image = _brightened(image, model, volume, z, (triplet[0], triplet[2]), intensity)
            valid = np.isfinite(truth) if hole is None else np.isfinite(truth) & ~hole
            valid &= np.isfinite(image)
            if not valid.any():
                continue
            scored = True
            values = image * (intensity.hi - intensity.lo) + intensity.lo
            yield LeftOut(z, model.name, _grey(values, grey), truth, valid)
    if not scored:
        raise TsainError(
            "No triplet has a pixel that is finite in all its slices, so nothing can be scored; "
            "choose a part of the stack that has grey values."
        )


def grey_scale(volume: Any) -> float:
    """What a grey value of a volume is in those that `leave_out` gives."""
    if volume.dtype == np.uint8:
        return 1.0
    grey = estimate_range(volume)
    return 255.0 / (grey.hi - grey.lo)


def _check(shape: tuple[int, int, int], crop: int, every: int) -> None:
    depth, height, width = shape
    if depth < 3:
        raise TsainError(f"The stack has {depth} slices; at least 3 are required to leave one out.")
    if min(crop, height, width) < WINDOW:
        raise TsainError(
            f"The part that is scored is {min(crop, height)} x {min(crop, width)} pixels; at least "
            f"{WINDOW} x {WINDOW} are required: choose a larger {argument('crop')}, or a larger "
            "stack."
        )
    if every < 1:
        raise TsainError(
            f"Every {every}th triplet cannot be taken; give {argument('every', 1)} or more."
        )


def _brightened(
    image: NDArray[np.float32],
    model: SliceModel,
    volume: Any,
    z: int,
    ends: tuple[NDArray[Any], NDArray[Any]],
    intensity: IntensityRange,
) -> NDArray[np.float32]:
    """The computed slice with the brightness that the model's settings call for."""
    shifts = find_shifts(volume, [(z - 1, z + 1)], model.brightness_slices)
    brighter = Brighter.between(*ends, shifts.get(z - 1, 0.0), intensity)
    return brighter.add(image, Fraction(1, 2)) if brighter else image


def _outer(
    volume: Any, z: int, box: tuple[slice, slice], intensity: IntensityRange
) -> NDArray[np.float32] | None:
    """The slice behind a neighbour; None beyond the stack, where it cannot be read or is empty."""
    if not 0 <= z < volume.shape[0]:
        return None
    try:
        image = read_crop(volume, z, box)
    except TsainError:
        return None
    return intensity.to_unit(image) if np.isfinite(image).all() and np.ptp(image) > 0 else None


def central(shape: tuple[int, int], crop: int) -> tuple[slice, slice]:
    """The (y, x) slices of a central crop of at most `crop` pixels a side."""
    starts = [(n - min(crop, n)) // 2 for n in shape]
    y, x = (slice(a, a + min(crop, n)) for a, n in zip(starts, shape, strict=True))
    return y, x


def read_crop(volume: Any, z: int, box: tuple[slice, slice]) -> NDArray[Any]:
    """A part (y, x) of a slice; of a lazy volume no more than that is read."""
    if hasattr(volume, "read"):
        return np.asarray(volume.read(slice(z, z + 1), *box)[0])
    return np.asarray(volume[z])[box]


def spread_slices(depth: int, most: int) -> list[int]:
    """At most so many inner slices of a stack, evenly spread over its depth."""
    inner = max(depth - 2, 0)
    if most >= inner:
        return list(range(1, depth - 1))
    return [1 + (2 * i + 1) * inner // (2 * most) for i in range(most)]


def mean_by_model(results: Iterable[TripletScore]) -> dict[str, Scores]:
    """Model name -> mean of its scores, in the order the models appear."""
    collected: dict[str, list[Scores]] = {}
    for result in results:
        collected.setdefault(result.model, []).append(result.scores)
    return {name: mean_scores(scores) for name, scores in collected.items()}


#: What the columns of `score_table` are.
LEGEND = (
    f"structure: PSNR after a Gaussian of {STRUCTURE_SIGMA:g} pixels on both slices, which noise "
    "hardly changes; IE in grey levels of 0 to 255; sharpness: 1 is as sharp as the real slice."
)


def score_table(scores: Mapping[str, Scores]) -> str:
    """A Markdown table, a row for each model."""
    width = max(len(name) for name in (*scores, "model"))
    lines = [
        f"| {'model':<{width}} | PSNR dB | structure dB | SSIM   "
        "| IE (mean absolute error) | sharpness |",
        f"|{'-' * (width + 2)}|---------|--------------|--------|"
        "--------------------------|-----------|",
    ]
    for name, s in scores.items():
        lines.append(
            f"| {name:<{width}} | {s.psnr:7.2f} | {s.structure:12.2f} | {s.ssim:6.3f} "
            f"| {s.ie:24.2f} | {s.sharpness:9.2f} |"
        )
    return "\n".join(lines)


def _grey(image: NDArray[Any], intensity: Any) -> NDArray[np.float32]:
    """Grey levels 0 to 255, as `score` wants them."""
    if intensity is None:
        return np.asarray(image, np.float32)
    grey: NDArray[np.float32] = intensity.to_unit(image) * np.float32(255)
    return grey
