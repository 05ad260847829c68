"""Fine-tuning on a volume of the user's: no settings needed, and a verdict at the end.

Two blocks of z slices in the middle of the volume are held out: by the one it stops, on the other
it is judged, which decides nothing else: what it has to compute there, it never saw. It learns on
both sides of them, because slices change along a stack: learnt from one end alone, it gets worse
at the other. It learns to compute a slice from its neighbours, twice as far apart as the slices
that it will work between.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import TsainError
from ..evaluation.leave_one_out import evaluate
from ..evaluation.metrics import Scores, mean_scores
from ..inference.intensity import IntensityRange, estimate_range
from ..inference.models import BaselineModel, Image, InferenceSettings, NetworkModel, SliceModel
from ..inference.models.device import native_bf16
from ..model_files.checkpoint import ModelInfo
from ..network import TSAIN
from ..training.augment import Augmentation
from ..training.data import TripletSampler, TripletSource
from ..training.loop import Trainer, TrainingProgress
from ..training.losses import LOSSES
from ..training.screening import Screening, Triplet
from ..training.settings import TrainingSettings
from ..volumes import Volume
from .blocks import LEAST, Blocks, split_blocks
from .verdict import Gain, Verdict

__all__ = [
    "FineTuningStarted",
    "Blocks",
    "FinetuneSettings",
    "FineTuningPreview",
    "Verdict",
    "finetune",
    "fitting_crop",
    "split_blocks",
]

_WATCHED = 4  # triplets that decide when to stop, at most: they are recomputed at each check
_JUDGED = 8  # slices that the verdict is of, at most
_LOST_STRUCTURE = 0.02  # dB that may be lost: within what the scores are worth
_LARGEST_BLOCK = 2**29  # voxels that are held in memory
_LEAST_EVERY = 10  # steps between validations: the first steps always lose a little
#: What the shipped weights were trained with.
_CHANGES = Augmentation(slice_contrast=0.15, slice_brightness=0.05)
_TIMED = 3  # steps that are timed to know how many fit


@dataclass(frozen=True)
class FinetuneSettings:
    """The defaults suit any volume.

    Attributes
    ----------
    minutes : float
        Time for learning; it ends earlier when it no longer gains.
    held_out : float
        Share of the slices in each of the two held-out blocks.
    batch, crop : int
        Crops in a batch, and their side in pixels; smaller where slices are.
    lr : float
        Learning rate; falls over the last half of the time.
    patience : int
        Validations without gain, of 20 at most, after which it ends.
    seed : int
    """

    minutes: float = 20.0
    held_out: float = 0.15
    batch: int = 8
    crop: int = 128
    lr: float = 1e-4
    patience: int = 8
    seed: int = 0


@dataclass(frozen=True)
class FineTuningStarted:
    """What is going to happen: the blocks, and how many steps fit into the time."""

    blocks: Blocks
    steps: int


@dataclass(frozen=True)
class FineTuningPreview:
    """A held-out slice as it is computed now; (y, x), grey values in [0, 1].

    Attributes
    ----------
    before : ndarray
        By the model that it started from.
    now, truth : ndarray
    z : int
        Of the slice in the volume.
    """

    before: Image
    now: Image
    truth: Image
    z: int


def finetune(
    volume: Volume,
    start: TSAIN,
    info: ModelInfo,
    settings: FinetuneSettings = FinetuneSettings(),
    device: torch.device | str = "cpu",
    *,
    state: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[FineTuningStarted | TrainingProgress | FineTuningPreview | Verdict]:
    """Fine-tune a network on a volume.

    Parameters
    ----------
    volume : Volume
        At least nine slices.
    start : TSAIN
        Left as it is.
    info : ModelInfo
        What is known of it.
    settings : FinetuneSettings
    device : torch.device
    state : Path, optional
        File to save the state in at each validation. If it is there already, an interrupted run
        goes on from it.
    stop : callable
        Called after each step; true ends learning, and the best so far is judged.

    Yields
    ------
    FineTuningStarted, TrainingProgress, FineTuningPreview or Verdict
        `FineTuningStarted` first, a `TrainingProgress` for each step (step 0 is the start), a
        `FineTuningPreview` after each validation, the `Verdict` last. Closing the generator gives
        up. Validations are PSNR on the slices for stopping, in the grey levels of the verdict.

    Raises
    ------
    TsainError
        If the volume is too thin or too small, or training goes astray.
    """
    device = torch.device(device)
    blocks = split_blocks(volume.shape[0], settings.held_out)
    intensity = estimate_range(volume, info.scaling)
    crop = fitting_crop(volume.shape, settings.crop, start.settings.multiple)

    def source(block: tuple[int, int]) -> TripletSource:
        return _triplets(_read(volume, block), intensity)

    training = _training_settings(settings, crop, device)
    sources = [source(block) for block in blocks.learn]
    sampler = TripletSampler(sources, crop, settings.batch, settings.seed)
    stopping = list(source(_with_neighbour(blocks.stop)).fixed(512))
    stopping = stopping[:: math.ceil(len(stopping) / _WATCHED)]
    steps = _steps_before(state)
    resumed = steps is not None
    if steps is None:
        seconds = _seconds_a_step(start, sampler, training, device)
        steps = max(20, int(60 * settings.minutes / seconds))
        if state is not None:
            _steps_file(state).write_text(str(steps), encoding="utf-8")
    every = min(max(_LEAST_EVERY, steps // 20), steps)
    training = replace(training, steps=steps, validate_every=every, check_every=min(20, every))
    yield FineTuningStarted(blocks, steps)
    shift = _grey_level_shift(volume, intensity)
    trainer = Trainer(copy.deepcopy(start), sampler, training, stopping, device)
    if resumed:
        assert state is not None
        trainer.load_state(state)
    else:
        trainer.judge_start()
        start_psnr = trainer.best.psnr + shift
        yield TrainingProgress(0, steps, math.nan, start_psnr, None, trainer.seconds)
    shown = _Shown(start, stopping[0], blocks.stop[0], device)
    yield shown.by(start)
    for progress in trainer.run():
        if progress.validation is None:
            yield progress
        else:
            yield replace(progress, validation=progress.validation + shift)
            if state is not None:
                trainer.save_state(state)
            yield shown.by(trainer.averaged)
        # steps since the last validation would be lost
        over = trainer.seconds > 60 * settings.minutes and progress.validation is not None
        if over or stop():
            break
    learnt = copy.deepcopy(start)
    learnt.load_state_dict(trainer.best.weights)
    by_model = _scores(volume, blocks.judge, {"before": start, "after": learnt}, info, device)
    yield _judge(by_model, start, learnt, blocks, trainer)


def _training_settings(
    settings: FinetuneSettings, crop: int, device: torch.device
) -> TrainingSettings:
    return TrainingSettings(
        batch=settings.batch,
        crop=crop,
        lr=settings.lr,
        warmup=20,
        decay=0.5,
        ema=0.99,
        patience=settings.patience,
        bf16=native_bf16(device),
        seed=settings.seed,
        loss=LOSSES["fidelity"],
    )


def _triplets(array: NDArray[Any], intensity: IntensityRange) -> TripletSource:
    """What is learnt from a block; it counts by its triplets."""
    weight = len(array) - 2
    return TripletSource(
        array, intensity, weight=weight, augmentation=_CHANGES, screening=Screening()
    )


def _steps_file(state: Path) -> Path:
    """Where the number of steps of a run lies, beside its state."""
    return state.with_suffix(".steps")


def _steps_before(state: Path | None) -> int | None:
    """The steps of the interrupted run that left a state, if there is one to go on with."""
    if state is None or not state.exists() or not _steps_file(state).exists():
        return None
    return int(_steps_file(state).read_text(encoding="utf-8"))


def _judge(
    by_model: dict[str, list[Scores]],
    start: TSAIN,
    learnt: TSAIN,
    blocks: Blocks,
    trainer: Trainer,
) -> Verdict:
    """Better is what gains for sure, and does so in more than blur."""
    means = {name: mean_scores(scores) for name, scores in by_model.items()}
    gains = {
        metric: Gain.of(*([getattr(s, metric) for s in by_model[n]] for n in ("before", "after")))
        for metric in ("psnr", "structure")
    }
    better = _is_better(means["after"], means["before"]) and gains["psnr"].is_sure
    return Verdict(
        learnt if better else start,
        better,
        means,
        blocks,
        trainer.best.step,
        trainer.seconds / 60,
        gains,
        trainer.finished,
    )


class _Shown:
    """The held-out slice that is shown while it learns."""

    def __init__(self, start: TSAIN, triplet: Triplet, z: int, device: torch.device) -> None:
        self._pair = [torch.from_numpy(triplet[i])[None, None].to(device) for i in (0, 2)]
        self._truth, self._z = triplet[1], z
        self._before = self._compute(start.to(device))

    def _compute(self, network: TSAIN) -> Image:
        with torch.no_grad():
            image: Image = network(*self._pair)[0, 0].float().cpu().numpy()
        return image

    def by(self, network: TSAIN) -> FineTuningPreview:
        return FineTuningPreview(self._before, self._compute(network), self._truth, self._z)


def _with_neighbour(block: tuple[int, int]) -> tuple[int, int]:
    """With the slice before it, which is only looked at to compute the first one."""
    return block[0] - 1, block[1]


def _grey_level_shift(volume: Volume, intensity: IntensityRange) -> float:
    """What to add to a PSNR of values in [0, 1] to get that of grey levels, in dB.

    `evaluate` compares 8-bit data in their own 256 grey levels, of which [0, 1] is a part.
    """
    if volume.dtype != np.uint8 or intensity.hi <= intensity.lo:
        return 0.0
    return float(20 * np.log10(255 / (intensity.hi - intensity.lo)))


def _read(volume: Volume, block: tuple[int, int]) -> NDArray[Any]:
    """The slices of a block; of a large one as many in its middle as memory bears."""
    first, last = block
    most = max(LEAST, _LARGEST_BLOCK // (volume.shape[1] * volume.shape[2]))
    first += max(0, last - first - most) // 2
    return np.stack([np.asarray(volume[z]) for z in range(first, min(last, first + most))])


def _is_better(after: Scores, before: Scores) -> bool:
    """More PSNR, and no less structure to speak of: blur alone must not win."""
    return after.psnr > before.psnr and after.structure > before.structure - _LOST_STRUCTURE


def fitting_crop(shape: Sequence[int], wanted: int, multiple: int) -> int:
    """Side in pixels of the crops to learn from, as close to `wanted` as the slices allow.

    Parameters
    ----------
    shape : (z, y, x)
    wanted : int
    multiple : int
        What the network needs (`NetworkSettings.multiple`).

    Raises
    ------
    TsainError
        If the slices are too small.
    """
    height, width = shape[1:]
    crop = min(wanted, height, width) // multiple * multiple
    if crop < 8 * multiple:
        raise TsainError(
            f"Slices are {height} x {width} pixels; fine-tuning needs at least {8 * multiple} a "
            "side."
        )
    return crop


def _seconds_a_step(
    start: TSAIN, sampler: TripletSampler, settings: TrainingSettings, device: torch.device
) -> float:
    trial = Trainer(copy.deepcopy(start), sampler, replace(settings, steps=1 + _TIMED), (), device)
    times = [progress.seconds for progress in trial.run()]
    return (times[-1] - times[0]) / _TIMED


def _scores(
    volume: Volume,
    block: tuple[int, int],
    networks: dict[str, TSAIN],
    info: ModelInfo,
    device: torch.device,
) -> dict[str, list[Scores]]:
    """Scores of networks and baselines on the slices of a block, one a slice.

    The slices on both sides of the block are only looked at to compute its first and last one.
    """
    first, last = block
    array = _read(volume, (first - 1, min(last + 1, volume.shape[0])))
    models: list[SliceModel] = [
        NetworkModel(copy.deepcopy(network), replace(info, name=name), device, InferenceSettings())
        for name, network in networks.items()
    ]
    models += [BaselineModel("mean"), BaselineModel("optical-flow")]
    every = math.ceil((len(array) - 2) / _JUDGED)
    scores: dict[str, list[Scores]] = {model.name: [] for model in models}
    for result in evaluate(array, models, every=every):
        scores[result.model].append(result.scores)
    return scores
