"""Checking models on a stack, and choosing among them."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import TsainError
from ..evaluation.leave_one_out import evaluate
from ..evaluation.metrics import Scores
from ..inference.models import (
    BASELINES,
    InferenceSettings,
    choose_device,
    default_model,
    model_files,
    open_model,
    shipped_models,
)
from ..model_files.checkpoint import read_info
from .cache import keep_scores, load_scores
from .triplets import Triplets
from .verdict import StackCheck

logger = logging.getLogger(__name__)

#: Triplets of a check, and the side in pixels of what is computed of each.
TRIPLETS, CROP = 10, 192


@dataclass(frozen=True)
class Checked:
    """Progress of a check: slices computed, of all models."""

    done: int
    total: int


def check_stack(
    volume: Any,
    names: Sequence[str],
    settings: InferenceSettings = InferenceSettings(),
    triplets: int = TRIPLETS,
    crop: int = CROP,
) -> Generator[Checked, None, StackCheck]:
    """Compute some slices of a stack from their neighbours with each model, and score them.

    What was computed before, for the same grey values and weights, is not computed again.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    names : sequence of str
        Models, as for `open_model`; the baselines are always checked as well.
    settings : InferenceSettings
        Device and precision; detail and ensemble are left out.
    triplets : int
        Most triplets, spread over the stack.
    crop : int
        Side in pixels of the central crop.

    Yields
    ------
    Checked
        After each slice; closing the generator stops the check.

    Returns
    -------
    StackCheck

    Raises
    ------
    TsainError
        If there is no such model, or the stack has no triplet that is fit for it.
    """
    known = Triplets(volume, triplets, crop)
    every = list(dict.fromkeys([*names, *BASELINES]))
    identities = {name: model_identity(name) for name in every}
    kept = load_scores(known.digest)
    missing = [name for name in every if identities[name] not in kept]
    plain = replace(settings, detail=0.0, ensemble=1, tile=None, halo=None, compile=False)
    done, total = 0, len(missing) * len(known.slices)
    for name in missing:
        scores: list[Scores] = []
        for result in evaluate(known, [open_model(name, plain)], crop, slices=known.slices):
            scores.append(result.scores)
            done += 1
            yield Checked(done, total)
        kept[identities[name]] = tuple(scores)
        keep_scores(known.digest, kept)
    return StackCheck(known.slices, {name: kept[identities[name]] for name in every})


def auto_candidates(device: str = "auto") -> list[str]:
    """Names that "auto" chooses from: shipped models that the device can bear, and the baselines.

    On a CPU, networks that work at full resolution are left out: they take some twenty times as
    long.
    """
    on_cpu = choose_device(device).type == "cpu"
    networks = [
        name
        for name, path in shipped_models().items()
        if not on_cpu or read_info(path).settings.unshuffle > 1
    ]
    return [*networks, *BASELINES]


def choose_model(
    volume: Any, settings: InferenceSettings = InferenceSettings()
) -> Generator[Checked, None, tuple[str, StackCheck | None]]:
    """The best of `auto_candidates` on a stack.

    Returns
    -------
    str
        Name of the model; that of `default_model` if the stack cannot be checked.
    StackCheck or None
        What it was chosen by.
    """
    try:
        check = yield from check_stack(volume, auto_candidates(settings.device), settings)
    except TsainError as error:
        name = default_model(settings.device)
        logger.info("%s is taken, because the stack cannot be checked: %s", name, error)
        return name, None
    return check.best(), check


def model_identity(name: str) -> str:
    """Name of a baseline, or hash of the weights: what scores are kept under."""
    if name in BASELINES:
        return name
    if name == "auto":
        raise ValueError("'auto' is no model to be checked; choose_model finds one.")
    path = model_files().get(name, Path(name))
    return read_info(path).weights_hash
