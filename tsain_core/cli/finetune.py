"""`tsain finetune`: weights tuned to a stack."""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..baselines import mean_of_neighbours
from ..checkpoint import ModelInfo, load, save
from ..errors import TsainError
from ..evaluate import CROP, score_table
from ..figures import interpolation_figure, middle
from ..intensity import estimate_range
from ..models import InferenceSettings, NetworkModel, choose_device, run_to_end, shipped_models
from ..network import TSAIN
from ..training import Progress
from ..training.card import finetune_card
from ..training.finetune import Begun, FinetuneSettings, Verdict, finetune
from ..volumes import Volume
from ._options import add_volume_options, read_volume

logger = logging.getLogger(__name__)

EXAMPLES = """\
  tsain finetune stack.tif --output mine.safetensors
  tsain finetune cremi.h5 --output mine.safetensors --minutes 60 --device cuda
  tsain interpolate stack.tif finer.zarr --model mine.safetensors"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    add_volume_options(parser)
    parser.add_argument(
        "--output", type=Path, required=True, help="model file to write, .safetensors"
    )
    parser.add_argument("--base", default="tsain-lite", help="model to start from, name or file")
    parser.add_argument(
        "--minutes",
        type=float,
        default=FinetuneSettings.minutes,
        help="time for learning; it ends earlier when it no longer gains (default %(default)g)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
    """Fine-tune, judge, and write what is better."""
    if args.output.suffix != ".safetensors":
        raise TsainError(f"{args.output.name} is no name for a model: end it in .safetensors.")
    if args.minutes <= 0:
        raise TsainError(f"{args.minutes:g} minutes; needed is a positive number.")
    volume = read_volume(args)
    start, base = load(shipped_models().get(args.base, Path(args.base)))
    device = choose_device(args.device)
    settings = FinetuneSettings(minutes=args.minutes, seed=args.seed)
    verdict = None
    bar = None
    try:
        for event in finetune(volume, start, base, settings, device):
            if isinstance(event, Begun):
                _announce(event)
                bar = tqdm(total=event.steps, unit="step")
            elif isinstance(event, Verdict):
                verdict = event
            elif bar is not None:
                _show(bar, event)
    finally:
        if bar is not None:
            bar.close()
    assert verdict is not None
    print(score_table(verdict.scores))
    print(verdict.sentence())
    _write(args, volume, start, base, verdict)


def _announce(begun: Begun) -> None:
    first, last = begun.blocks.learn
    logger.info(
        "Learning from slices %d to %d, at twice the z step that the model is used at; at most %d "
        "steps",
        first,
        last - 1,
        begun.steps,
    )


def _show(bar: tqdm, progress: Progress) -> None:  # type: ignore[type-arg]
    bar.update()
    if progress.note:
        logger.warning(progress.note)
    if progress.validation is not None:
        bar.set_postfix(held_out=f"{progress.validation:.2f} dB")


def _write(
    args: argparse.Namespace, volume: Volume, start: TSAIN, base: ModelInfo, verdict: Verdict
) -> None:
    if not verdict.improved:
        return
    source = os.path.basename(os.path.normpath(volume.source))
    info = replace(
        base,
        name=args.output.stem,
        training=base.training
        | {
            "finetuned_on": source,
            "finetuned_from": base.weights_hash,
            "finetune_steps": verdict.steps,
            "finetune_minutes": round(verdict.minutes, 1),
        },
        scores={source: asdict(verdict.scores["after"])},
        licence=f"{base.licence}; fine-tuned on {source}, whose terms apply as well",
    )
    save(args.output, verdict.network, info)
    card = args.output.with_suffix(".md")
    card.write_text(finetune_card(info, base, source, verdict), encoding="utf-8")
    picture = args.output.with_suffix(".png")
    _picture(picture, volume, start, base, verdict)
    print(f"{args.output}, its card {card.name} and the picture {picture.name}")


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
        image = run_to_end(model.between(before, after))
        predicted[name] = intensity.from_unit(image, volume.dtype)
    mean = mean_of_neighbours(before, after)
    predicted["mean"] = intensity.from_unit(mean, volume.dtype)
    interpolation_figure(path, cuts[0], predicted, cuts[1], cuts[2])
