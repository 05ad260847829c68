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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..checkpoint import ModelInfo
from ..errors import TsainError
from ..evaluate import evaluate, mean_by_model
from ..intensity import estimate_range
from ..metrics import Scores
from ..models import BaselineModel, Image, InferenceSettings, NetworkModel, SliceModel
from ..models.device import native_bf16
from ..network import TSAIN
from ..volumes import Volume
from .augment import Augmentation
from .data import TripletSampler, TripletSource
from .loop import Progress, Trainer
from .losses import LOSSES
from .preparation import Screening, Triplet
from .settings import TrainingSettings

_LEAST = 3  # slices of a block: one triplet
_ENOUGH = 5  # slices of a block, where there are some to spare: few triplets mislead
_SCORED = 4  # triplets of a block that are scored, at most
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
class Blocks:
    """Half-open ranges of z slices.

    Attributes
    ----------
    learn : tuple of ranges
        One or two, before and after the others.
    stop, judge : range
    """

    learn: tuple[tuple[int, int], ...]
    stop: tuple[int, int]
    judge: tuple[int, int]

    @property
    def learnt_from(self) -> str:
        """The slices that are learnt from, in words."""
        return " and ".join(f"{first} to {last - 1}" for first, last in self.learn)


@dataclass(frozen=True)
class Begun:
    """What is going to happen: the blocks, and how many steps fit into the time."""

    blocks: Blocks
    steps: int


@dataclass(frozen=True)
class Preview:
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
    minutes : float
    """

    network: TSAIN
    improved: bool
    scores: dict[str, Scores]
    blocks: Blocks
    steps: int
    minutes: float

    def sentence(self) -> str:
        """The verdict in words."""
        before, after = self.scores["before"], self.scores["after"]
        gain = f"PSNR {before.psnr:.2f} -> {after.psnr:.2f} dB, structure "
        gain += f"{before.structure:.2f} -> {after.structure:.2f} dB on slices it never saw"
        first, last = self.blocks.judge
        where = f"(z {first} to {last - 1})"
        if self.improved:
            return f"Better: {gain} {where}."
        return f"Not better: {gain} {where}. The model it started from is kept."


def split_blocks(depth: int, held_out: float) -> Blocks:
    """Blocks of a volume of `depth` slices: learning, stopping, judging, and learning again.

    A thin volume is learnt from before the held-out blocks alone: a second side costs two triplets.

    Raises
    ------
    TsainError
        If there are too few slices for a triplet in each.
    """
    held = max(_LEAST, min(_ENOUGH, depth // 5), round(depth * held_out))
    rest = depth - 2 * held
    if rest < _LEAST:
        raise TsainError(
            f"The volume has {depth} slices; fine-tuning needs at least {3 * _LEAST}, to learn "
            "from some and to be judged by others."
        )
    after = rest // 2 if rest >= 2 * _ENOUGH else 0
    first, last = rest - after, depth - after
    learn = ((0, first), (last, depth)) if after else ((0, first),)
    return Blocks(learn, (first, first + held), (first + held, last))


def finetune(
    volume: Volume,
    start: TSAIN,
    info: ModelInfo,
    settings: FinetuneSettings = FinetuneSettings(),
    device: torch.device | str = "cpu",
    *,
    state: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Begun | Progress | Preview | Verdict]:
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
        Asked after each step; true ends learning, and the best so far is judged.

    Yields
    ------
    Begun, Progress, Preview or Verdict
        `Begun` first, a `Progress` for each step, a `Preview` after each validation, the `Verdict`
        last. Closing the generator gives up.

    Raises
    ------
    TsainError
        If the volume is too thin or too small, or training goes astray.
    """
    device = torch.device(device)
    blocks = split_blocks(volume.shape[0], settings.held_out)
    intensity = estimate_range(volume, info.intensity_percentiles)
    crop = _fitting_crop(volume, settings.crop, start.settings.multiple)

    def source(block: tuple[int, int]) -> TripletSource:
        array = _read(volume, block)
        weight = len(array) - 2  # triplets
        return TripletSource(
            array, intensity, weight=weight, augmentation=_CHANGES, screening=Screening()
        )

    training = TrainingSettings(
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
    sources = [source(block) for block in blocks.learn]
    sampler = TripletSampler(sources, crop, settings.batch, settings.seed)
    stopping = list(source(_with_neighbour(blocks.stop)).fixed(512))
    stopping = stopping[:: math.ceil(len(stopping) / _SCORED)]
    plan = state.with_suffix(".steps") if state is not None else None
    resumed = state is not None and state.exists() and plan is not None and plan.exists()
    if resumed:
        assert plan is not None
        steps = int(plan.read_text(encoding="utf-8"))
    else:
        seconds = _seconds_a_step(start, sampler, training, device)
        steps = max(20, int(60 * settings.minutes / seconds))
        if plan is not None:
            plan.write_text(str(steps), encoding="utf-8")
    every = min(max(_LEAST_EVERY, steps // 20), steps)
    training = replace(training, steps=steps, validate_every=every, check_every=min(20, every))
    yield Begun(blocks, steps)
    trainer = Trainer(copy.deepcopy(start), sampler, training, stopping, device)
    if resumed:
        assert state is not None
        trainer.load_state(state)
    else:
        trainer.judge_start()
    shown = _Shown(start, stopping[0], blocks.stop[0], device)
    yield shown.by(start)
    for progress in trainer.run():
        yield progress
        if progress.validation is not None:
            if state is not None:
                trainer.save_state(state)
            yield shown.by(trainer.averaged)
        # steps since the last validation would be lost
        over = trainer.seconds > 60 * settings.minutes and progress.validation is not None
        if over or stop():
            break
    learnt = copy.deepcopy(start)
    learnt.load_state_dict(trainer.best.weights)
    scores = _scores(volume, blocks.judge, {"before": start, "after": learnt}, info, device)
    better = _is_better(scores["after"], scores["before"])
    network, minutes = learnt if better else start, trainer.seconds / 60
    yield Verdict(network, better, scores, blocks, trainer.best.step, minutes)


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

    def by(self, network: TSAIN) -> Preview:
        return Preview(self._before, self._compute(network), self._truth, self._z)


def _with_neighbour(block: tuple[int, int]) -> tuple[int, int]:
    """With the slice before it, which is only looked at to compute the first one."""
    return block[0] - 1, block[1]


def _read(volume: Volume, block: tuple[int, int]) -> NDArray[Any]:
    """The slices of a block; of a large one as many in its middle as memory bears."""
    first, last = block
    most = max(_LEAST, _LARGEST_BLOCK // (volume.shape[1] * volume.shape[2]))
    first += max(0, last - first - most) // 2
    return np.stack([np.asarray(volume[z]) for z in range(first, min(last, first + most))])


def _is_better(after: Scores, before: Scores) -> bool:
    """More PSNR, and no less structure to speak of: blur alone must not win."""
    return after.psnr > before.psnr and after.structure > before.structure - 0.02


def _fitting_crop(volume: Volume, wanted: int, multiple: int) -> int:
    crop = min(wanted, *volume.shape[1:]) // multiple * multiple
    if crop < 8 * multiple:
        raise TsainError(
            f"Slices are {volume.shape[1]} x {volume.shape[2]} pixels; fine-tuning needs at least "
            f"{8 * multiple} a side."
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
) -> dict[str, Scores]:
    array = _read(volume, _with_neighbour(block))
    models: list[SliceModel] = [
        NetworkModel(copy.deepcopy(network), replace(info, name=name), device, InferenceSettings())
        for name, network in networks.items()
    ]
    models += [BaselineModel("mean"), BaselineModel("optical-flow")]
    every = math.ceil((len(array) - 2) / _SCORED)
    return mean_by_model(evaluate(array, models, every=every))
