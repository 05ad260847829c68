"""What a fine-tuning leaves behind: the model file, its card, and a picture."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ..checkpoint import ModelInfo, save
from ..evaluate import CROP, score_table
from ..figures import interpolation_figure, middle
from ..intensity import estimate_range
from ..interpolate import slice_between
from ..models import BaselineModel, InferenceSettings, NetworkModel, choose_device, run_to_end
from ..network import TSAIN
from ..volumes import Volume
from .finetune import Verdict


def write_outcome(
    path: Path, volume: Volume, start: TSAIN, base: ModelInfo, verdict: Verdict
) -> list[Path]:
    """Write the fine-tuned weights to `path`, card (.md) and picture (.png) beside them.

    Returns
    -------
    list of Path
        What was written.
    """
    source = os.path.basename(os.path.normpath(volume.source))
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
    card, picture = path.with_suffix(".md"), path.with_suffix(".png")
    card.write_text(finetune_card(info, base, source, verdict), encoding="utf-8")
    _picture(picture, volume, start, base, verdict)
    save(path, verdict.network, info)
    return [path, card, picture]


def _picture(path: Path, volume: Volume, start: TSAIN, base: ModelInfo, verdict: Verdict) -> None:
    """A slice for judging, before and after fine-tuning."""
    first, last = verdict.blocks.judge
    z = (first + last - 1) // 2
    intensity = estimate_range(volume, base.intensity_percentiles)
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

PSNR rewards blur on noisy slices; structure is PSNR after a Gaussian of sigma 2, sharpness the
variance of the Laplacian over the real slice's. The scores are of a few slices of this very volume:
they say little about other volumes.
"""
