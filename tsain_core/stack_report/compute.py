"""Computing a report: slices are left out, computed by each method, and compared."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, printable
from ..evaluation.cubic import CubicInZ
from ..evaluation.leave_one_out import CROP, LeftOut, central, leave_out
from ..evaluation.metrics import Scores, score
from ..inference.intensity import estimate_range
from ..inference.models import BASELINES, InferenceSettings, SliceModel, model_files, open_model
from ..inference.models.baselines import blurred
from ..inspection import Inspection, inspect_stack
from ..interpolation.selection import format_slices
from ..model_files.checkpoint import read_info
from ..stack_check import StackCheck, model_identity, score_key
from ..stack_check.cache import keep_scores, load_scores
from ..stack_check.triplets import Triplets
from ..volumes import Volume
from .cautions import cautions_of, facts_of
from .report import BLURRED, CUBIC, ErrorStack, StackReport, WorstCase, rival_of, values_of

#: Most slices that are left out, and that are shown as the worst.
MOST, WORST = 30, 3
#: Larger stacks are not looked through for damage.
LARGEST_INSPECTED = 4 << 30
_CUBIC = CubicInZ(CUBIC)
_BLUR = 1.0  # pixels, of the blurred versions of networks


@dataclass(frozen=True)
class Progress:
    """What is done of a part of the work.

    Attributes
    ----------
    what : str
        The part: "tsain-lite", "looking for damage".
    done, total : int
        Slices.
    """

    what: str
    done: int
    total: int


def report_on(
    volume: Volume,
    names: Sequence[str],
    settings: InferenceSettings = InferenceSettings(),
    *,
    most: int = MOST,
    crop: int = CROP,
    title: str = "",
) -> Generator[Progress, None, StackReport]:
    """Score models beside baselines on slices of a stack that are left out.

    The baselines are the mean of neighbours, optical flow, both blurred, cubic interpolation along
    z, and each network blurred by a pixel. Scores of methods other than the chosen model are kept
    for the next report on the same grey values.

    Parameters
    ----------
    volume : Volume
    names : sequence of str
        Models as for `open_model`; the report is about the first one. Models that were fine-tuned
        on a stack of this name are added.
    settings : InferenceSettings
        Of networks.
    most : int
        Most slices that are left out, spread evenly over the stack.
    crop : int
        Side in pixels of the central crop that is computed.
    title : str
        Name of the stack; by default that of its file.

    Yields
    ------
    Progress
        Closing the generator stops the work.

    Returns
    -------
    StackReport

    Raises
    ------
    TsainError
        If there is no such model, or the stack has no triplet that is fit for it.
    """
    title = printable(title or os.path.basename(volume.source.rstrip("/\\")) or "stack")
    known = Triplets(volume, most, crop)
    learnt = _learnt_here(title)
    networks = list(dict.fromkeys([*names, *learnt]))
    work = _Scoring(known, settings, crop, networks[0])
    for name in dict.fromkeys([*networks, *BASELINES, CUBIC]):
        yield from work.add(name)
    order = sorted(work.scores, key=_place(networks))
    check = StackCheck(known.slices, {name: work.scores[name] for name in order})
    box = central((volume.shape[1], volume.shape[2]), crop)
    facts = [facts_of(known, z, box) for z in known.slices]
    inspection = yield from _inspected(volume)
    chosen = networks[0]
    return StackReport(
        title,
        _facts(volume),
        chosen,
        check,
        max(volume.shape[0] - 2, 0),
        (box[0].stop - box[0].start, box[1].stop - box[1].start),
        cautions_of(check, chosen, facts, inspection, learnt, settings.mixes),
        inspection,
        tuple(_worst(known, check, chosen, work, box)),
        ErrorStack(work.errors, volume.shape, (box[0].start, box[1].start)),
    )


class _Scoring:
    """Scores of all methods, and the errors of the chosen one."""

    def __init__(
        self, known: Triplets, settings: InferenceSettings, crop: int, chosen: str
    ) -> None:
        self.known, self.settings, self.crop, self.chosen = known, settings, crop, chosen
        self.scores: dict[str, tuple[Scores, ...]] = {}
        self.errors: dict[int, NDArray[np.float16]] = {}
        self._kept = load_scores(known.digest)

    def add(self, name: str) -> Generator[Progress, None, None]:
        """Score a method, unless its scores are kept from before."""
        soft = None if name in (*BASELINES, CUBIC) else f"{name}{BLURRED}"
        wanted = {name: self._key(name)} | ({soft: f"{self._key(name)} blurred"} if soft else {})
        if name == self.chosen or any(key not in self._kept for key in wanted.values()):
            found: dict[str, list[Scores]] = {label: [] for label in wanted}
            total = len(self.known.slices)
            for left in self.computed(name, self.known.slices):
                found[name].append(left.scores)
                if soft:
                    image = blurred(left.image, _BLUR)
                    found[soft].append(score(image, left.truth, left.valid))
                if name == self.chosen:
                    off = left.image - left.truth
                    self.errors[left.z] = np.where(left.valid, off, np.nan).astype(np.float16)
                yield Progress(name, len(found[name]), total)
            for label, key in wanted.items():
                self._kept[key] = tuple(found[label])
            keep_scores(self.known.digest, self._kept)
        for label, key in wanted.items():
            self.scores[label] = self._kept[key]

    def computed(self, name: str, slices: Sequence[int]) -> Generator[LeftOut, None, None]:
        """What a method makes of slices."""
        model = _CUBIC if name == CUBIC else self._open(name)
        yield from leave_out(self.known, [model], self.crop, slices=slices)

    def _open(self, name: str) -> SliceModel:
        return open_model(name, self.settings)

    def _key(self, name: str) -> str:
        if name == CUBIC:
            return name
        if name in BASELINES:  # which align and match pairs as networks do
            return score_key(name, self.settings)
        s = self.settings
        plain = InferenceSettings(s.device, s.precision)
        changes = "" if replace(s, tile=None, halo=None, compile=False) == plain else f" {s}"
        return f"{model_identity(name)}{changes}"


def _place(networks: Sequence[str]) -> Any:
    """Order of methods: networks as given, then what needs no learning, blurred networks last."""

    def key(name: str) -> tuple[int, int]:
        if name in networks:
            return 0, networks.index(name)
        order = ("mean", CUBIC, "optical-flow")
        return (1, order.index(name)) if name in order else (2, 0)

    return key


def _worst(
    known: Triplets,
    check: StackCheck,
    chosen: str,
    work: _Scoring,
    box: tuple[slice, slice],
) -> Generator[WorstCase, None, None]:
    """The slices on which the chosen model scores least, beside the best other method."""
    quality = values_of(check, chosen, "quality")
    order = np.argsort(quality)[:WORST]
    slices = [check.slices[int(i)] for i in order]
    other = {left.z: left.image for left in work.computed(rival_of(check, chosen), slices)}
    grey = estimate_range(known) if known.dtype != np.uint8 else None
    for i, z in zip(order, slices, strict=True):
        three = [known.read(slice(k, k + 1), *box)[0] for k in (z - 1, z, z + 1)]
        levels = [
            np.asarray(image, np.float32) if grey is None else 255 * grey.to_unit(image)
            for image in three
        ]
        computed = levels[1] + work.errors[z].astype(np.float32)
        yield WorstCase(
            z, levels[0], levels[1], levels[2], computed, other[z], check.scores[chosen][int(i)]
        )


def _inspected(volume: Volume) -> Generator[Progress, None, Inspection | None]:
    """What is damaged; None for stacks that are too large to be read as a whole."""
    depth, height, width = volume.shape
    if depth * height * width * volume.dtype.itemsize > LARGEST_INSPECTED:
        return None
    work = inspect_stack(volume)
    try:
        while True:
            looked = next(work)
            yield Progress("looking for damage", looked.done, looked.total)
    except StopIteration as end:
        found: Inspection = end.value
        return found
    except TsainError:
        return None
    finally:
        work.close()


def _learnt_here(title: str) -> list[str]:
    """Models that were fine-tuned on a stack of this name."""
    from ..finetuning.model_card import plain_name

    found = []
    for name, path in model_files().items():
        try:
            info = read_info(Path(path))
        except TsainError:
            continue
        if info.training.get("finetuned_on") == plain_name(title):
            found.append(name)
    return found


def _facts(volume: Volume) -> dict[str, str]:
    facts = {
        "shape (z, y, x)": " x ".join(map(str, volume.shape)),
        "dtype": str(volume.dtype),
    }
    if volume.voxel_size is not None:
        sizes = " x ".join("?" if s is None else f"{s:g}" for s in volume.voxel_size)
        facts["voxel size (z, y, x)"] = f"{sizes} {volume.unit or ''}".strip()
    if volume.synthetic:
        facts["computed slices, left out"] = format_slices(volume.synthetic)
    return facts
