"""Settings of a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..system.records import Record
from .adversarial import AdversarySettings
from .distillation import TeacherSettings
from .losses import LossSettings
from .offset_guide import OffsetGuide


@dataclass(frozen=True)
class TrainingSettings(Record):
    """Everything that steers a run, besides the data.

    Attributes
    ----------
    steps : int
        Total number of optimiser steps.
    batch, crop : int
        Crops in a batch, and their side in pixels.
    lr : float
        Learning rate of Adam, after `warmup` steps of linear rise.
    decay : float
        Last share of the steps over which the rate falls to zero along a half cosine. Before that
        it does not depend on `steps`, so a run may be lengthened when it is resumed.
    plateau : int
        Validations without gain after which the rate falls to a tenth; 0 leaves it to `decay`. The
        authors' patience of 5 is a plateau of 6: PyTorch's scheduler waits for one more.
    judge_by : "psnr" or "loss"
        What a gain in validation is: a higher PSNR or a lower loss of the held-out triplets.
    keep_best : bool
        Save the weights of the best validation at the end, instead of the last ones.
    patience : int
        Validations without gain after which training ends; 0 goes on to the last step.
    offset_lr : float
        Factor on the rate of the convolutions that predict offsets.
    offset_penalty, offset_free : float
        Weight in the loss of what `reach_penalty` says, and the pixels of the image that cost
        nothing. With it or `offset_guide`, blocks that sample are not checkpointed.
    clip : float
        Largest norm of the gradient; 0 does not limit it.
    ema : float
        Decay of the moving average of the weights, which is what is evaluated and saved; 0 takes
        the weights themselves.
    validate_every, check_every, save_every : int
        Steps between validations, between checks of the offsets, and between saved states.
    bf16 : bool
        Autocast convolutions to bfloat16. Offsets and sampling stay in float32.
    checkpointing : bool
        Keep only what goes into each block and compute the rest again for the gradient: a fraction
        of the memory, about a third more time.
    seed : int
    loss : LossSettings
    teacher : TeacherSettings
        A network whose slices are learnt first.
    offset_guide : OffsetGuide
        Holds the offsets of the temporal towers near optical flow.
    adversary : AdversarySettings
        A network that tells computed slices from real ones, to make them sharp.
    """

    steps: int = 5000
    batch: int = 8
    crop: int = 128
    lr: float = 1e-3
    warmup: int = 100
    decay: float = 0.3
    plateau: int = 0
    judge_by: str = "psnr"
    keep_best: bool = False
    patience: int = 0
    offset_lr: float = 0.5
    offset_penalty: float = 0.0
    offset_free: float = 16.0
    clip: float = 0.5
    ema: float = 0.999
    validate_every: int = 250
    check_every: int = 20
    save_every: int = 100
    bf16: bool = False
    checkpointing: bool = False
    seed: int = 0
    loss: LossSettings = field(default_factory=LossSettings)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    offset_guide: OffsetGuide = field(default_factory=OffsetGuide)
    adversary: AdversarySettings = field(default_factory=AdversarySettings)

    def __post_init__(self) -> None:
        if self.judge_by not in ("psnr", "loss"):
            raise ValueError(f"judge_by is {self.judge_by!r}; psnr or loss is required")

    def lr_factor(self, step: int) -> float:
        """Factor on `lr` at a step: linear rise, constant, half cosine to zero."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        start = self.steps * (1 - self.decay)
        if step <= start or self.plateau:
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - start) / (self.steps - start))))
