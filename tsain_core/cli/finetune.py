"""`tsain finetune`: weights tuned to a stack."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from tqdm import tqdm

from .._memory import keep_freed_memory
from ..checkpoint import load
from ..errors import TsainError
from ..evaluate import score_table
from ..models import choose_device, model_files
from ..training import Progress
from ..training.finetune import Begun, FinetuneSettings, Preview, Verdict, finetune
from ..training.outcome import check_outcome, write_outcome
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
    parser.add_argument("--overwrite", action="store_true", help="replace an existing model file")


def run(args: argparse.Namespace) -> None:
    """Fine-tune, judge, and write what is better."""
    keep_freed_memory()
    check_outcome(args.output, args.overwrite)
    if args.minutes <= 0:
        raise TsainError(f"{args.minutes:g} minutes; needed is a positive number.")
    volume = read_volume(args)
    start, base = load(model_files().get(args.base, Path(args.base)))
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
            elif not isinstance(event, Preview) and bar is not None:
                _show(bar, event)
    finally:
        if bar is not None:
            bar.close()
    assert verdict is not None
    print(score_table(verdict.scores))
    print(verdict.sentence())
    if verdict.improved:
        for path in write_outcome(args.output, volume, start, base, verdict):
            print(path)


def _announce(begun: Begun) -> None:
    logger.info(
        "Learning from slices %s, at twice the z step that the model is used at; at most %d steps",
        begun.blocks.learnt_from,
        begun.steps,
    )


def _show(bar: tqdm, progress: Progress) -> None:  # type: ignore[type-arg]
    bar.update(progress.step - bar.n)
    if progress.note:
        logger.warning(progress.note)
    if progress.validation is not None:
        bar.set_postfix(held_out=f"{progress.validation:.2f} dB")
