"""What a fine-tuning leaves behind: the model file, its card, and a picture."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ..errors import TsainError
from ..evaluation.figures import interpolation_figure, middle
from ..evaluation.leave_one_out import CROP, score_table
from ..inference.intensity import estimate_range
from ..inference.models import (
    BaselineModel,
    InferenceSettings,
    NetworkModel,
    choose_device,
    run_to_end,
)
from ..interpolation.interpolate import slice_between
from ..model_files.checkpoint import ModelInfo, save
from ..network import TSAIN
from ..system.atomic import replacing
from ..volumes import Volume
from .verdict import Verdict


def outcome_files(path: Path) -> list[Path]:
    """The files of a model: weights, card, picture."""
    return [path, path.with_suffix(".md"), path.with_suffix(".png")]


def check_outcome(path: Path, overwrite: bool = False) -> None:
    """Refuse a model file that could not be written in the end, before the time is spent.

    Raises
    ------
    TsainError
        If the name does not end in .safetensors, the folder is missing or cannot be written to, or
        a file of the model is there already and `overwrite` is False.
    """
    if path.suffix != ".safetensors":
        raise TsainError(f"{path.name} is no name for a model: end it in .safetensors.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise TsainError(f"There is no folder {folder}; make it first, or choose another one.")
    check_writable(folder)
    there = [file.name for file in outcome_files(path) if file.exists()]
    if there and not overwrite:
        raise TsainError(
            f"{', '.join(there)} exists already in {folder}; choose another name, or allow "
            "overwriting."
        )


def check_writable(folder: Path) -> None:
    """Refuse a folder in which no file can be made; for one that is missing, its parent is checked.

    Raises
    ------
    TsainError
        If no file can be made there.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise TsainError(
            f"Nothing can be written to {folder} ({error.strerror or error}); free the folder or "
            "choose another one."
        ) from error


def write_outcome(
    path: Path,
    volume: Volume,
    start: TSAIN,
    base: ModelInfo,
    verdict: Verdict,
    stack: str = "",
) -> list[Path]:
    """Write the fine-tuned weights to `path`, card (.md) and picture (.png) beside them.

    Each file appears under its name when it is complete, the weights last.

    Parameters
    ----------
    path : Path
        Ends in .safetensors; existing files are replaced.
    volume : Volume
        What was learnt from.
    start, base : TSAIN, ModelInfo
        Where it started.
    verdict : Verdict
    stack : str
        Name of the stack as the user knows it; by default that of the volume's file.

    Returns
    -------
    list of Path
        What was written.
    """
    source = plain_name(stack or os.path.basename(volume.source.rstrip("/\\")))
    training = {
        "finetuned_on": source,
        "finetuned_from": base.weights_hash,
        "finetune_steps": verdict.steps,
        "finetune_minutes": round(verdict.minutes, 1),
    }
    info = replace(
        base,
        name=path.stem,
        training=base.training | training,
        scores={source: asdict(verdict.scores["after"])},
        licence=f"{base.licence}; fine-tuned on {source}, whose terms apply as well",
    )
    _, card, picture = outcome_files(path)
    with replacing(card) as partial:
        partial.write_text(finetune_card(info, base, source, verdict), encoding="utf-8")
    with replacing(picture) as partial:
        _picture(partial, volume, start, base, verdict)
    save(path, verdict.network, info)
    return [path, card, picture]


def plain_name(text: str) -> str:
    """A stack's name as one line that Markdown takes literally between backticks."""
    line = "".join(c if c.isprintable() else " " for c in text).replace("`", "'")
    return " ".join(line.split()) or "unnamed stack"


def _picture(path: Path, volume: Volume, start: TSAIN, base: ModelInfo, verdict: Verdict) -> None:
    """A slice for judging, before and after fine-tuning."""
    first, last = verdict.blocks.judge
    z = (first + last - 1) // 2
    intensity = estimate_range(volume, base.scaling)
    cuts = [middle(np.asarray(volume[i]))[:CROP, :CROP] for i in (z - 1, z, z + 1)]
    before, after = (intensity.to_unit(cuts[i]) for i in (0, 2))
    predicted = {}
    for name, network in (("before", start), ("fine-tuned", verdict.network)):
        model = NetworkModel(network, base, choose_device("cpu"), InferenceSettings())
        image, _ = run_to_end(slice_between(model, before, after))
        predicted[name] = intensity.from_unit(image, volume.dtype)
    mean, _ = run_to_end(slice_between(BaselineModel("mean"), before, after))
    predicted["mean"] = intensity.from_unit(mean, volume.dtype)
    interpolation_figure(path, cuts[0], predicted, cuts[1], cuts[2])


def finetune_card(info: ModelInfo, base: ModelInfo, source: str, verdict: Verdict) -> str:
    """What a user must know of the weights: what they saw, how they score, what holds them back.

    Parameters
    ----------
    info, base : ModelInfo
        Of the new weights and of those that they started from.
    source : str
        Name of the volume.
    verdict : Verdict
    """
    blocks = verdict.blocks
    stop, judge = (f"{first} to {last - 1}" for first, last in (blocks.stop, blocks.judge))
    return f"""# {info.name}

{base.name} (weights {base.weights_hash}), fine-tuned on `{source}`.

**Licence: {info.licence}**

{verdict.sentence()}

| slices (z) | for |
|---|---|
| {blocks.learnt_from} | learning |
| {stop} | deciding when to stop |
| {judge} | the scores below, and nothing else |

{verdict.steps} steps in {verdict.minutes:.0f} minutes. Each slice was computed from its two
neighbours: twice as far apart as the slices that the model will work between.

{score_table(verdict.scores)}

Intervals are 95 % confidence intervals of the mean gain over the slices (Student's t); a model
counts as better only if the interval of its PSNR gain lies above zero. Neighbouring slices are
alike, so that the true uncertainty is somewhat larger.

PSNR rewards blur on noisy slices; structure is PSNR after a Gaussian of sigma 2, sharpness the
variance of the Laplacian over the real slice's. The scores are of a few slices of this very volume:
they say little about other volumes.
"""
