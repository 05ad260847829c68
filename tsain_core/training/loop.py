"""The training loop, a generator: each yield is progress, and a place to stop."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import TsainError
from ..network import TSAIN, AdaptiveSampling, Sampling
from ..system.atomic import replacing
from ..system.triton_loading import load_triton
from ..volumes._guard import require_regular
from .checkpointing import checkpoint_activations
from .data import Triplet, TripletSampler
from .distributed import ALONE, Ranks
from .objective import Batch, Objective
from .offset_monitor import OffsetStatistics, offset_statistics, worst
from .settings import TrainingSettings

logger = logging.getLogger(__name__)

_STATE_VERSION = 1
_MOST_RECOVERIES = 5


@dataclass(frozen=True)
class TrainingProgress:
    """State of a run after a step.

    Attributes
    ----------
    step, steps : int
    loss : float
        Of this step's batch.
    validation : float or None
        PSNR in dB over the held-out triplets, when this step validated.
    offsets : OffsetStatistics or None
        Of the deformable convolution with the largest mean offset, when this step checked.
    seconds : float
        Training time so far, earlier parts of a resumed run included.
    note : str
        What went wrong and was mended; empty otherwise.
    """

    step: int
    steps: int
    loss: float
    validation: float | None
    offsets: OffsetStatistics | None
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class Best:
    """The best validation of a run so far.

    Attributes
    ----------
    psnr : float
        In dB over the held-out triplets; minus infinity before the first validation.
    step : int
    since : int
        Validations after it, none of which was better.
    drops : int
        How often the learning rate fell because of that.
    weights : dict
        Averaged weights at that step, on CPU.
    loss : float
        Loss of the held-out triplets; infinity where it is not what validations are judged by.
    """

    psnr: float = -math.inf
    step: int = 0
    since: int = 0
    drops: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    loss: float = math.inf


class Trainer:
    """Trains a network on batches of triplets.

    Parameters
    ----------
    network : TSAIN
        Trained in place; `averaged` holds the moving average of its weights.
    sampler : TripletSampler
    settings : TrainingSettings
    held_out : sequence of Triplet
        Validation triplets (3, y, x).
    device : torch.device
    ranks : Ranks
        The processes that train together, this one among them.
    teacher : TSAIN, optional
        The network that `settings.teacher` names.

    Raises
    ------
    TsainError
        If an adversary is to be trained by several processes.
    """

    def __init__(
        self,
        network: TSAIN,
        sampler: TripletSampler,
        settings: TrainingSettings,
        held_out: Sequence[Triplet] = (),
        device: torch.device | str = "cpu",
        ranks: Ranks = ALONE,
        teacher: TSAIN | None = None,
    ) -> None:
        if settings.adversary.share and ranks.count > 1:
            raise TsainError("An adversary is trained in one process; start without torchrun.")
        self.device, self.ranks = torch.device(device), ranks
        self.objective = Objective(settings, self.device, teacher)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).train()
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        if settings.checkpointing:
            checkpoint_activations(self.network)
        self._shared = ranks.wrap(self.network, self.device)
        self.sampler, self.settings, self.held_out = sampler, settings, held_out
        load_triton()  # which the optimizers import
        self.optimizer = torch.optim.Adam(self._parameter_groups(), lr=settings.lr)
        self.step, self.seconds, self.recoveries = 0, 0.0, 0
        self.best = Best()
        self._healthy = self._snapshot()

    def _parameter_groups(self) -> list[dict[str, Any]]:
        offsets = [
            p
            for module in self.network.modules()
            if isinstance(module, AdaptiveSampling)
            for p in module.offset_conv.parameters()
        ]
        known = {id(p) for p in offsets}
        others = [p for p in self.network.parameters() if id(p) not in known]
        return [
            {"params": others, "scale": 1.0},
            {"params": offsets, "scale": self.settings.offset_lr},
        ]

    def run(self) -> Iterator[TrainingProgress]:
        """Train to `settings.steps`, yielding after each step.

        Raises
        ------
        TsainError
            If training goes astray more often than going back to healthy weights can mend.
        """
        while self.step < self.settings.steps and not self.finished:
            start = time.perf_counter()
            s = self.settings
            check = self.step % s.check_every == 0
            sampling = Sampling() if check or self.objective.needs_sampling else None
            # the offsets that are checked are those of the weights before the step
            checked = self._snapshot() if check else self._healthy
            loss, note = self._optimise(sampling), ""
            offsets = worst(offset_statistics(sampling)) if check and sampling is not None else None
            if not math.isfinite(loss):
                note = f"step {self.step}: loss not finite, step skipped"
                self._count_recovery(note)
            exploded = offsets is not None and offsets.exploded
            if offsets is not None and self.ranks.any(exploded, self.device):
                note = (
                    f"step {self.step}: offsets of {offsets.where} exploded (mean "
                    f"{offsets.mean:.3g} px); back to the weights of step {self._healthy['step']}"
                )
                self._count_recovery(note)
                self._go_back()
            elif offsets is not None:
                if offsets.suspicious:
                    note = f"offsets of {offsets.where} have a mean of {offsets.mean:.3g} px"
                    logger.warning(note)
                if math.isfinite(loss):
                    self._healthy = checked
            self.step += 1
            due = self.step % s.validate_every == 0 or self.step == s.steps
            validation = self._judge() if due and self.held_out else None
            self.seconds += time.perf_counter() - start
            yield TrainingProgress(
                self.step, s.steps, loss, validation, offsets, self.seconds, note
            )

    def judge_start(self) -> None:
        """Validate the weights as they are, so that only better ones take their place."""
        self._judge()

    @property
    def finished(self) -> bool:
        """Whether validation has not gained for as long as `patience` says."""
        return 0 < self.settings.patience <= self.best.since

    def _judge(self) -> float:
        """Validate, and keep the averaged weights if they are the best so far; the PSNR."""
        validation, loss = self.validate(), math.inf
        better = validation > self.best.psnr
        if self.settings.judge_by == "loss":
            loss = self.validation_loss()
            better = loss < self.best.loss
        if better:
            weights = {k: v.cpu().clone() for k, v in self.averaged.state_dict().items()}
            self.best = Best(validation, self.step, 0, self.best.drops, weights, loss)
            return validation
        since, drops = self.best.since + 1, self.best.drops
        if self.settings.plateau and since % self.settings.plateau == 0:
            drops += 1
            logger.info("step %d: learning rate to a tenth", self.step)
        self.best = replace(self.best, since=since, drops=drops)
        return validation

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16)

    def _optimise(self, sampling: Sampling | None) -> float:
        """One step; the loss. A step whose loss or gradient is not finite changes nothing."""
        s = self.settings
        for group in self.optimizer.param_groups:
            factor = s.lr_factor(self.step) * 0.1**self.best.drops
            group["lr"] = s.lr * factor * group["scale"]
        batch = Batch(
            *(self.ranks.share(t).to(self.device) for t in self.sampler.batch_at(self.step))
        )
        with self._autocast():
            positions = batch.at if self.network.settings.positions else None
            prediction = self._shared(batch.before, batch.after, sampling, positions)
        loss = self.objective(self.step, prediction.float(), batch, sampling)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), s.clip or math.inf)
        loss = self.ranks.mean(loss.detach())
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            return math.nan
        self.optimizer.step()
        self._average()
        return float(loss)

    @torch.no_grad()
    def _average(self) -> None:
        # starts as a plain average, so that early weights do not linger
        decay = min(self.settings.ema, (self.step + 1) / (self.step + 10))
        for mean, value in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)

    @torch.no_grad()
    def validate(self) -> float:
        """PSNR in dB of the averaged network, over all pixels of the held-out triplets."""
        squared = [
            (prediction.clamp(0, 1) - truth.clamp(0, 1)).square().mean()
            for prediction, truth in self._held_out_pairs()
        ]
        return float(-10 * torch.log10(torch.stack(squared).mean()))

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Mean training loss of the averaged network over the held-out triplets."""
        losses = [
            self.objective.against(truth, prediction)
            for prediction, truth in self._held_out_pairs()
        ]
        return float(torch.stack(losses).mean())

    def _held_out_pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """What the averaged network predicts, and the truth, (1, 1, H, W), of each triplet."""
        for triplet in self.held_out:
            before, truth, after = (
                torch.from_numpy(i).to(self.device)[None, None] for i in triplet
            )
            with self._autocast():
                prediction: Tensor = self.averaged(before, after)
            yield prediction.float(), truth

    def _count_recovery(self, note: str) -> None:
        self.recoveries += 1
        logger.warning(note)
        if self.recoveries > _MOST_RECOVERIES:
            raise TsainError(
                f"Training went astray {self.recoveries} times, last at {note}. "
                "Start again with a lower learning rate."
            )

    def _snapshot(self) -> dict[str, Any]:
        return copy.deepcopy(
            {
                "step": self.step,
                "network": self.network.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            }
        )

    def _go_back(self) -> None:
        # the step counter goes on, so that the batches which did the harm are not drawn again
        self._restore(self._healthy)

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])

    def save_state(self, path: Path) -> None:
        """Write all that `load_state` needs to go on exactly; complete or not at all."""
        state = self._snapshot()
        state |= {
            "version": _STATE_VERSION,
            "seconds": self.seconds,
            "recoveries": self.recoveries,
            "seed": self.sampler.seed,
            "best": asdict(self.best),
        }
        if self.objective.adversary:
            state["adversary"] = self.objective.adversary.state_dict()
        with replacing(path) as partial:
            torch.save(state, partial)

    def load_state(self, path: Path) -> None:
        """Go on where `save_state` was called.

        Raises
        ------
        TsainError
            If the file cannot be read, or the state belongs to another network, seed or version.
        """
        require_regular(path)
        try:
            with path.open("rb") as file:
                state = torch.load(file, map_location=self.device, weights_only=True)
        except Exception as error:  # whatever the bytes of a damaged file lead the unpickler to
            raise TsainError(
                f"{path} cannot be read as the state of a run: it is damaged, or holds more than "
                "tensors and numbers; resume from another one, or start again."
            ) from error
        if not isinstance(state, dict):
            state = {}
        if state.get("version") != _STATE_VERSION or state.get("seed") != self.sampler.seed:
            raise TsainError(
                f"{path} is the state of another run (version {state.get('version')}, seed "
                f"{state.get('seed')}); resume with the settings it was started with."
            )
        try:
            self._restore(state)
            if self.objective.adversary:
                self.objective.adversary.load_state_dict(state["adversary"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise TsainError(
                f"{path} is the state of another network; resume with the preset it was started "
                "with, or start in another folder."
            ) from error
        self.step, self.seconds = state["step"], state["seconds"]
        self.recoveries = state["recoveries"]
        self.best = Best(**state.get("best", {}))
        self._healthy = self._snapshot()
