"""`tsain evaluate`: scores of models beside the baselines, by leaving slices out; a report."""

from __future__ import annotations

import argparse
import csv
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import TsainError
from ..evaluation.leave_one_out import (
    CROP,
    LEGEND,
    TripletScore,
    leave_out,
    mean_by_model,
    score_table,
)
from ..evaluation.metrics import WINDOW
from ..inference.models import BASELINES, open_model
from ..membranes import (
    MEMBRANE_LEGEND,
    MembraneJudge,
    MembraneScores,
    mean_of,
    membrane_table,
)
from ..stack_report import check_folder, report_on, write_folder
from ..stack_report.compute import MOST
from ..training.triplet_folder import read_triplets
from ..volumes import converted
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
  tsain evaluate stack.tif --report out/
  tsain evaluate stack.tif --report out/ --model mine.safetensors --model tsain-lite
  tsain evaluate stack.tif --also tsain-lite-fib25 mine.safetensors
  tsain evaluate stack.tif --model mine.safetensors --csv scores.csv --every 4
  tsain evaluate cremi_triplet/B/test --triplets"""

_HEADER = ("psnr", "structure", "ssim", "ie", "sharpness")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    add_volume_options(parser)
    add_part_options(parser)
    add_model_options(parser, AUTO, several=True)
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
    parser.add_argument(
        "--membranes",
        action="store_true",
        help="compare membranes, too, and the regions that they enclose, as a segmenter finds them "
        "in the computed and in the real slice",
    )
    parser.add_argument("--csv", type=Path, help="write the scores of each triplet to this file")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="write a report on the first model to this folder: a page with intervals, warnings, "
        "plots and the worst slices, and its numbers",
    )
    parser.add_argument(
        "--at-most",
        type=integer(1),
        default=MOST,
        metavar="SLICES",
        help=f"slices that are left out for a report, evenly spread; default: {MOST}",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing report")
    screen.add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    """Print a table: the models, then the baselines; or write a report."""
    if args.report is not None:
        _report(args)
        return
    volume = read_triplets(Path(args.input)) if args.triplets else read_volume(args)
    names = [*_named(args, volume), *BASELINES]
    settings = inference_settings(args)
    models = [open_model(name, settings) for name in dict.fromkeys(names)]
    step = 3 * args.every if args.triplets else args.every
    slices = range(1, volume.shape[0] - 1, max(step, 1))
    results: list[TripletScore] = []
    judge = MembraneJudge(_pixel(volume)) if args.membranes else None
    found: dict[str, list[MembraneScores]] = {}
    with screen.bar(total=len(slices) * len(models), unit="slice") as bar:
        for left in leave_out(volume, models, args.crop, args.every, slices):
            results.append(TripletScore(left.z, left.model, left.scores))
            if judge is not None:
                found.setdefault(left.model, []).append(judge.score(left.image, left.truth))
            bar.update()
    if args.csv:
        _write_csv(args.csv, results)
    means = mean_by_model(results)
    if args.json:
        screen.say_json(
            {
                name: asdict(scores) | (asdict(mean_of(found[name])) if found else {})
                for name, scores in means.items()
            }
        )
        return
    screen.say(f"{args.input}: mean of {len(slices)} triplets")
    screen.say(score_table(means))
    screen.say(LEGEND)
    if found:
        screen.say(membrane_table({name: mean_of(scores) for name, scores in found.items()}))
        screen.say(MEMBRANE_LEGEND)


def _pixel(volume: Any) -> float | None:
    """Nanometres a pixel, where the stack says so."""
    size = getattr(volume, "voxel_size", None)
    return converted(size[1], volume.unit, "nanometer") if size is not None else None


def _named(args: argparse.Namespace, volume: Any) -> list[str]:
    """The models that the options name; "auto" is looked for, where slices lie side by side."""
    names = args.model or ["auto"]
    if "auto" in names and not args.triplets:
        best = auto_choice(args, volume).name
        names = [best if name == "auto" else name for name in names]
    return [*names, *args.also]


def _report(args: argparse.Namespace) -> None:
    """Leave some slices out, compute them by each method, write what came of it."""
    if args.triplets or args.every != 1:
        option = "--triplets" if args.triplets else "--every"
        raise TsainError(
            f"A report is of slices spread over a stack, so {option} does not go with --report; "
            "leave it out, or choose how many slices with --at-most."
        )
    check_folder(args.report, args.overwrite)
    volume = read_volume(args)
    names = _named(args, volume)
    work = report_on(volume, names, inference_settings(args), most=args.at_most, crop=args.crop)
    report = screen.with_bar(work)
    page = write_folder(report, args.report, args.overwrite)[0]
    if args.csv:
        check = report.check
        _write_csv(
            args.csv,
            [
                TripletScore(z, name, scores[i])
                for i, z in enumerate(check.slices)
                for name, scores in check.scores.items()
            ],
        )
    if args.json:
        screen.say_json(report.to_json())
        return
    for sentence in report.sentences():
        screen.say(sentence)
    for caution in report.cautions:
        screen.say(f"- {caution.text}")
    screen.say(
        f"{len(report.check.slices)} of {report.inner} inner slices were left out. Open {page}"
    )


def _write_csv(path: Path, results: list[TripletScore]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["z", "model", *_HEADER])
        for r in results:
            values = asdict(r.scores)
            writer.writerow([r.z, r.model, *(values[key] for key in _HEADER)])
