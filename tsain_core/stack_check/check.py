"""Checking models on a stack, and choosing among them."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
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
from .cache import keep_calibrated, keep_scores, load_calibrated, load_scores
from .calibrate import calibrate_left_out
from .fit_shares import FEWEST
from .triplets import Triplets
from .verdict import StackCheck, calibrated_name, in_words

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

    Networks are scored calibrated to the stack as well, with shares from other triplets than the
    scored one. What was computed before, for the same grey values and weights, is not computed
    again.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    names : sequence of str
        Models, as for `open_model`; the baselines are always checked as well.
    settings : InferenceSettings
        Device, precision, and whether pairs are aligned or matched; calibration, detail and
        ensemble are left out.
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
    identities = {name: _key(name, settings) for name in every}
    kept, calibrated = load_scores(known.digest), load_calibrated(known.digest)
    fitted = {n for n in every if n not in BASELINES and len(known.slices) >= FEWEST}
    missing = [
        name
        for name, key in identities.items()
        if key not in kept or (name in fitted and key not in calibrated)
    ]
    plain = replace(settings, calibration=None, detail=0.0, ensemble=1)
    plain = replace(plain, tile=None, halo=None, compile=False)
    done, total = 0, len(missing) * len(known.slices)
    for name in missing:
        key, found = identities[name], []
        for left in leave_out(known, [open_model(name, plain)], crop, slices=known.slices):
            found.append(left)
            done += 1
            yield Checked(done, total)
        kept[key] = tuple(left.scores for left in found)
        keep_scores(known.digest, kept)
        if name in fitted:
            calibrated[key] = calibrate_left_out(known, found, crop)
            keep_calibrated(known.digest, calibrated)
    return StackCheck(
        known.slices,
        {name: kept[identities[name]] for name in every},
        {name: calibrated[identities[name]] for name in every if name in fitted},
    )


def _key(name: str, settings: InferenceSettings) -> str:
    """What scores and shares are kept under."""
    aligned = " aligned" if settings.align else ""
    return model_identity(name) + aligned + (" matched" if settings.match_brightness else "")


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


@dataclass(frozen=True)
class Chosen:
    """The model that a run takes.

    Attributes
    ----------
    name : str
    settings : InferenceSettings
        With the calibration that suits the stack, if one does.
    check : StackCheck or None
        What it was chosen by; None if the stack cannot be checked.
    """

    name: str
    settings: InferenceSettings
    check: StackCheck | None

    @property
    def label(self) -> str:
        """The name, with "calibrated" where it is."""
        return calibrated_name(self.name) if self.settings.calibration else self.name


def choose_model(
    volume: Any, settings: InferenceSettings = InferenceSettings()
) -> Generator[Checked, None, Chosen]:
    """The best of `auto_candidates` on a stack, calibrated where that is better still.

    Networks are calibrated unless the settings hold a calibration. If the stack cannot be checked,
    it is the model of `default_model`.
    """
    try:
        check = yield from check_stack(volume, auto_candidates(settings.device), settings)
    except TsainError as error:
        name = default_model(settings.device)
        logger.info("%s is taken, because the stack cannot be checked: %s", name, error)
        return Chosen(name, settings, None)
    if settings.calibration is not None:
        return Chosen(check.best(), settings, check)
    name, shares = check.best_calibrated()
    return Chosen(name, replace(settings, calibration=shares), check)


def calibrate_model(
    volume: Any, name: str, settings: InferenceSettings = InferenceSettings()
) -> Generator[Checked, None, Chosen]:
    """A model with the shares that suit a stack.

    Raises
    ------
    TsainError
        If it is a baseline, there is no such model, or the stack has too few triplets.
    """
    if name in BASELINES:
        raise TsainError(
            f"{in_words(name).capitalize()} cannot be calibrated; choose a network, or leave out "
            f"{argument('calibrate')}."
        )
    check = yield from check_stack(volume, [name], settings)
    if name not in check.calibrated:
        raise TsainError(
            f"The stack has {len(check.slices)} triplets of neighbouring slices that are fit for "
            f"it; to calibrate a model, {FEWEST} are required: leave out {argument('calibrate')}."
        )
    return Chosen(name, replace(settings, calibration=check.calibrated[name].shares), check)


def settle_model(
    volume: Any, name: str, settings: InferenceSettings, calibrated: bool
) -> Generator[Checked, None, Chosen]:
    """The model that a name stands for: "auto" is chosen, others are calibrated where that is true.

    Errors are those of `calibrate_model`.
    """
    if name == "auto":
        return (yield from choose_model(volume, settings))
    if calibrated:
        return (yield from calibrate_model(volume, name, settings))
    return Chosen(name, settings, None)


def model_identity(name: str) -> str:
    """Name of a baseline, or hash of the weights: what scores are kept under."""
    if name in BASELINES:
        return name
    if name == "auto":
        raise ValueError("'auto' is no model to be checked; choose_model finds one.")
    path = model_files().get(name, Path(name))
    return read_info(path).weights_hash
