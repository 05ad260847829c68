"""Checking models on a stack, and choosing among them."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from ..errors import TsainError, argument
from ..evaluation.leave_one_out import leave_out
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
from .cache import keep_mixed, keep_scores, load_mixed, load_scores
from .fit_shares import FEWEST
from .mixing import brightness_of, mix_left_out
from .triplets import Triplets
from .verdict import StackCheck, in_words, mixed_name

logger = logging.getLogger(__name__)

#: Triplets of a check, and the side in pixels of what is computed of each.
TRIPLETS, CROP = 10, 192

_FEW_CHANNELS = 32  # of the networks that are fast on a CPU
_SOON = 1 << 27  # voxels; a CPU makes them twice as many in some quarter of an hour otherwise


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

    Networks are scored mixed with the mean of neighbours as well, as other triplets than the
    scored one say. What was computed before, for the same grey values and weights, is not
    computed again.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    names : sequence of str
        Models, as for `open_model`; the baselines are always checked as well.
    settings : InferenceSettings
        Device, precision, and whether pairs are aligned or matched; mixing, detail and ensemble
        are left out.
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
    identities = {name: score_key(name, settings) for name in every}
    kept, mixed = load_scores(known.digest), load_mixed(known.digest)
    fitted = {n for n in every if n not in BASELINES and len(known.slices) >= FEWEST}
    missing = [
        name
        for name, key in identities.items()
        if key not in kept or (name in fitted and key not in mixed)
    ]
    plain = replace(settings.plain, tile=None, halo=None, compile=False)
    done, total = 0, len(missing) * len(known.slices)
    if fitted & {*missing}:
        brightness = brightness_of(volume, known.slices)
    for name in missing:
        key, found = identities[name], []
        for left in leave_out(known, [open_model(name, plain)], crop, slices=known.slices):
            found.append(left)
            done += 1
            yield Checked(done, total)
        kept[key] = tuple(left.scores for left in found)
        keep_scores(known.digest, kept)
        if name in fitted:
            mixed[key] = mix_left_out(known, found, crop, brightness)
            keep_mixed(known.digest, mixed)
    return StackCheck(
        known.slices,
        {name: kept[identities[name]] for name in every},
        {name: mixed[identities[name]] for name in every if name in fitted},
    )


def score_key(name: str, settings: InferenceSettings) -> str:
    """What scores and shares are kept under."""
    aligned = " aligned" if settings.align else ""
    return model_identity(name) + aligned + (" matched" if settings.match_brightness else "")


def auto_candidates(device: str = "auto", voxels: int = 0) -> list[str]:
    """Names that "auto" chooses from: shipped models, the fastest first, and the baselines.

    On a CPU, networks that take too long are left out: those that work at full resolution, some
    twenty times as long as the fastest, and of stacks of many voxels those with more channels.
    """
    on_cpu = choose_device(device).type == "cpu"
    settings = {name: read_info(path).settings for name, path in shipped_models().items()}
    networks = [
        name
        for name, s in sorted(settings.items(), key=lambda item: (item[1].channels, item[0]))
        if not on_cpu or (s.unshuffle > 1 and (s.channels <= _FEW_CHANNELS or voxels <= _SOON))
    ]
    return [*networks, *BASELINES]


@dataclass(frozen=True)
class Chosen:
    """The model that a run takes.

    Attributes
    ----------
    name : str
    settings : InferenceSettings
        With how it is mixed with the mean of neighbours on the stack, if that is better.
    check : StackCheck or None
        What it was chosen by; None if the stack cannot be checked.
    """

    name: str
    settings: InferenceSettings
    check: StackCheck | None

    @property
    def label(self) -> str:
        """The name, and "mean" where it is mixed."""
        return mixed_name(self.name) if self.settings.mixes else self.name


def choose_model(
    volume: Any, settings: InferenceSettings = InferenceSettings()
) -> Generator[Checked, None, Chosen]:
    """The best of `auto_candidates` on a stack, mixed with the mean where that is better still.

    A mix that the settings hold stays. If the stack cannot be checked,
    it is the model of `default_model`.
    """
    try:
        names = auto_candidates(settings.device, prod(volume.shape))
        check = yield from check_stack(volume, names, settings)
    except TsainError as error:
        name = default_model(settings.device)
        logger.info("%s is taken, because the stack cannot be checked: %s", name, error)
        return Chosen(name, settings, None)
    if settings.mixes:
        return Chosen(check.best(), settings, check)
    name, mix = check.best_mixed()
    return Chosen(name, mix.settings(settings) if mix else settings, check)


def mix_model(
    volume: Any, name: str, settings: InferenceSettings = InferenceSettings()
) -> Generator[Checked, None, Chosen]:
    """A model, mixed with the mean of neighbours as suits a stack.

    Raises
    ------
    TsainError
        If it is a baseline, there is no such model, or the stack has too few triplets.
    """
    if name in BASELINES:
        raise TsainError(
            f"{in_words(name).capitalize()} cannot be mixed with the mean; choose a network, or "
            f"leave out {argument('mix')}."
        )
    check = yield from check_stack(volume, [name], settings)
    if name not in check.mixed:
        raise TsainError(
            f"The stack has {len(check.slices)} triplets of neighbouring slices that can be left "
            f"out; to find how much of the mean a model needs, {FEWEST} are required: leave out "
            f"{argument('mix')}."
        )
    return Chosen(name, check.mixed[name].settings(settings), check)


def settle_model(
    volume: Any, name: str, settings: InferenceSettings, mix: bool
) -> Generator[Checked, None, Chosen]:
    """The model that a name stands for: "auto" is chosen, others are mixed with the mean if told.

    Errors are those of `mix_model`.
    """
    if name == "auto":
        return (yield from choose_model(volume, settings))
    if mix:
        return (yield from mix_model(volume, name, settings))
    return Chosen(name, settings, None)


def model_identity(name: str) -> str:
    """Name of a baseline, or hash of the weights: what scores are kept under."""
    if name in BASELINES:
        return name
    if name == "auto":
        raise ValueError("'auto' is no model to be checked; choose_model finds one.")
    path = model_files().get(name, Path(name))
    return read_info(path).weights_hash
