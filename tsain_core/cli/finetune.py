"""`tsain finetune`: weights tuned to a stack."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from tqdm import tqdm

from ..evaluation.leave_one_out import score_table
from ..finetuning.finetune import (
    FinetuneSettings,
    FineTuningPreview,
    FineTuningStarted,
    Verdict,
    finetune,
)
from ..finetuning.model_card import check_outcome, write_outcome
from ..inference.models import BASELINES, choose_device, model_files
from ..model_files.checkpoint import load
from ..system.memory import keep_freed_memory
from ..training import TrainingProgress
from . import _progress as screen
from ._numbers import integer, real
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
        type=real(),
        default=FinetuneSettings.minutes,
        help="time for learning; it ends earlier when it no longer gains (default %(default)g)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--seed", type=integer(0), default=0)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing model file")


def run(args: argparse.Namespace) -> None:
    """Fine-tune, judge, and write what is better."""
    keep_freed_memory()
    check_outcome(args.output, args.overwrite)
    volume = read_volume(args)
    start, base = load(model_files().get(args.base, Path(args.base)))
    device = choose_device(args.device)
    settings = FinetuneSettings(minutes=args.minutes, seed=args.seed)
    verdict = None
    bar = None
    try:
        for event in finetune(volume, start, base, settings, device):
            if isinstance(event, FineTuningStarted):
                _announce(event)
                bar = screen.bar(total=event.steps, unit="step")
            elif isinstance(event, Verdict):
                verdict = event
            elif not isinstance(event, FineTuningPreview) and bar is not None:
                _show(bar, event)
    finally:
        if bar is not None:
            bar.close()
    assert verdict is not None
    screen.say(score_table(verdict.scores))
    screen.say(verdict.sentence())
    if not verdict.improved:
        screen.say(next_step(verdict, args.base))
    else:
        for path in write_outcome(args.output, volume, start, base, verdict):
            screen.say(path)


def next_step(verdict: Verdict, base: str) -> str:
    """What to do where fine-tuning gained nothing, in one line."""
    peers = {name: s.psnr for name, s in verdict.scores.items() if name in BASELINES}
    best = max(peers, key=lambda name: peers[name])
    if peers[best] > verdict.scores["before"].psnr:
        use = f"On this stack {best} scores higher than {base}: use --model {best}"
    else:
        use = f"Nothing was written: go on with --model {base}"
    return f"{use}, or fine-tune again with more --minutes, more slices or another --base."


def _announce(begun: FineTuningStarted) -> None:
    logger.info(
        "Learning from slices %s, at twice the z step that the model is used at; at most %d steps",
        begun.blocks.learnt_from,
        begun.steps,
    )


def _show(bar: tqdm, event: TrainingProgress) -> None:  # type: ignore[type-arg]
    bar.update(event.step - bar.n)
    if event.note:
        logger.warning(event.note)
    if event.validation is not None:
        bar.set_postfix(held_out=f"{event.validation:.2f} dB")
