"""`tsain evaluate`: scores of models beside the baselines, by leaving slices out."""

from __future__ import annotations

import argparse
import csv
from dataclasses import asdict
from pathlib import Path

from ..evaluation.leave_one_out import (
    CROP,
    LEGEND,
    TripletScore,
    evaluate,
    mean_by_model,
    score_table,
)
from ..evaluation.metrics import WINDOW
from ..inference.models import BASELINES, open_model
from ..training.triplet_folder import read_triplets
from . import _progress as screen
from ._check import AUTO, auto_choice
from ._numbers import integer
from ._options import (
    add_model_options,
    add_part_options,
    add_volume_options,
    inference_settings,
    read_volume,
)

EXAMPLES = """\
  tsain evaluate stack.tif
  tsain evaluate stack.tif --also tsain-lite-fib25 mine.safetensors
  tsain evaluate stack.tif --model mine.safetensors --csv scores.csv --every 4
  tsain evaluate cremi_triplet/B/test --triplets"""

_HEADER = ("psnr", "structure", "ssim", "ie", "sharpness")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    add_volume_options(parser)
    add_part_options(parser)
    add_model_options(parser, AUTO)
    parser.add_argument(
        "--also", nargs="+", default=[], metavar="MODEL", help="more models to compare"
    )
    parser.add_argument(
        "--crop", type=integer(WINDOW), default=CROP, help="side of the central crop scored"
    )
    parser.add_argument("--every", type=integer(1), default=1, help="take every n-th triplet")
    parser.add_argument(
        "--triplets",
        action="store_true",
        help="the input is a folder of ready-made triplets, as for training, not a stack",
    )
    parser.add_argument("--csv", type=Path, help="write the scores of each triplet to this file")
    screen.add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    """Print a table: the models, then the baselines."""
    volume = read_triplets(Path(args.input)) if args.triplets else read_volume(args)
    name = args.model
    if name == "auto" and not args.triplets:  # whose neighbours do not lie side by side
        name, _ = auto_choice(args, volume)
    names = [name, *args.also, *BASELINES]
    settings = inference_settings(args)
    models = [open_model(name, settings) for name in dict.fromkeys(names)]
    step = 3 * args.every if args.triplets else args.every
    slices = range(1, volume.shape[0] - 1, max(step, 1))
    results: list[TripletScore] = []
    with screen.bar(total=len(slices) * len(models), unit="slice") as bar:
        for result in evaluate(volume, models, args.crop, args.every, slices):
            results.append(result)
            bar.update()
    if args.csv:
        _write_csv(args.csv, results)
    means = mean_by_model(results)
    if args.json:
        screen.say_json({name: asdict(scores) for name, scores in means.items()})
        return
    screen.say(f"{args.input}: mean of {len(slices)} triplets")
    screen.say(score_table(means))
    screen.say(LEGEND)


def _write_csv(path: Path, results: list[TripletScore]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["z", "model", *_HEADER])
        for r in results:
            values = asdict(r.scores)
            writer.writerow([r.z, r.model, *(values[key] for key in _HEADER)])
