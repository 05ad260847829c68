"""What a step of training lowers: the loss against real slices, and all that is added to it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..network import TSAIN, Sampling
from .adversarial import Adversary
from .distillation import Teacher
from .losses import total_loss
from .offset_guide import fidelity_loss, guidance
from .offset_monitor import reach_penalty
from .perceptual import VggFeatures
from .settings import TrainingSettings


@dataclass(frozen=True)
class Batch:
    """Triplets of a step.

    Attributes
    ----------
    before, truth, after : Tensor, (N, 1, H, W)
    at : Tensor, (N,)
        Positions of the true slices.
    """

    before: Tensor
    truth: Tensor
    after: Tensor
    at: Tensor


class Objective:
    """The loss of a run.

    Parameters
    ----------
    settings : TrainingSettings
    device : torch.device
    teacher : TSAIN, optional
        The network that `settings.teacher` names.
    """

    def __init__(
        self, settings: TrainingSettings, device: torch.device, teacher: TSAIN | None = None
    ) -> None:
        self.settings = settings
        loss, adversary = settings.loss, settings.adversary
        self.teacher = None if teacher is None else Teacher(teacher, device)
        self.vgg = (
            VggFeatures(loss.vgg or None, loss.vgg_normalise).to(device) if loss.needs_vgg else None
        )
        self.adversary = Adversary(adversary, device) if adversary.share else None

    @property
    def needs_sampling(self) -> bool:
        """Whether the sampling points of each step are part of it."""
        return bool(self.settings.offset_penalty or self.settings.offset_guide.weight)

    def __call__(
        self, step: int, prediction: Tensor, batch: Batch, sampling: Sampling | None
    ) -> Tensor:
        """Loss of a step, a scalar; an adversary learns from it, too.

        Parameters
        ----------
        step : int
        prediction : Tensor, (N, 1, H, W)
        batch : Batch
        sampling : Sampling, optional
            Of the forward pass; terms on offsets are left out without it.
        """
        s = self.settings
        loss = self._of_slices(step, prediction, batch)
        if self.adversary:
            slices = batch.before, prediction, batch.truth, batch.after
            self.adversary.learn(*slices)
            loss = self.adversary.add_to(loss, step, *slices)
        if sampling is None:
            return loss
        if s.offset_penalty:
            loss = loss + s.offset_penalty * reach_penalty(sampling, s.offset_free)
        weight = s.offset_guide.weight_at(step)
        if weight:
            flow = guidance(batch.before, batch.after, batch.at, s.offset_guide)
            loss = loss + weight * fidelity_loss(sampling, flow, s.offset_guide.free)
        return loss

    def against(self, truth: Tensor, prediction: Tensor) -> Tensor:
        """Loss of slices (N, 1, H, W) against real ones alone, a scalar."""
        return total_loss(prediction, truth, self.settings.loss, self.vgg)

    def _of_slices(self, step: int, prediction: Tensor, batch: Batch) -> Tensor:
        """Against the real slices, and as far as its share goes against the teacher's."""
        share = self.settings.teacher.share_at(step)
        if self.teacher is None or not share:
            return self.against(batch.truth, prediction)
        target = self.teacher.slices(batch.before, batch.after, batch.at)
        taught = self.against(target, prediction)
        if share == 1:
            return taught
        return (1 - share) * self.against(batch.truth, prediction) + share * taught
