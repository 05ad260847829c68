"""The card that goes with fine-tuned weights, as Markdown."""

from __future__ import annotations

from ..checkpoint import ModelInfo
from ..evaluate import score_table
from .finetune import Verdict


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
    learn, stop, judge = (
        f"{first} to {last - 1}"
        for first, last in (verdict.blocks.learn, verdict.blocks.stop, verdict.blocks.judge)
    )
    return f"""# {info.name}

{base.name} (weights {base.weights_hash}), fine-tuned on `{source}`.

**Licence: {info.licence}**

{verdict.sentence()}

| slices (z) | for |
|---|---|
| {learn} | learning |
| {stop} | deciding when to stop |
| {judge} | the scores below, and nothing else |

{verdict.steps} steps in {verdict.minutes:.0f} minutes. Each slice was computed from its two
neighbours: twice as far apart as the slices that the model will work between.

{score_table(verdict.scores)}

PSNR rewards blur on noisy slices; structure is PSNR after a Gaussian of sigma 2, sharpness the
variance of the Laplacian over the real slice's. The scores are of a few slices of this very volume:
they say little about other volumes.
"""
