"""`tsain train`: make weights from a recipe."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from ..errors import TsainError
from ..inference.models import choose_device, open_network
from ..model_files.checkpoint import ModelInfo, load, save
from ..network import PRESETS, TSAIN, NetworkSettings
from ..network.widening import widen
from ..system.memory import keep_freed_memory
from ..training import Trainer, TripletSampler
from ..training.distributed import Ranks, join
from ..training.logs import open_logs
from ..training.recipe import Recipe, read_recipe
from . import _progress as screen
from ._numbers import integer

logger = logging.getLogger(__name__)

_HELD_OUT_CROP = 512
_HELD_OUT_TRIPLETS = 3  # of each volume
EXAMPLES = """\
  tsain train weights/tsain-lite.toml --data stacks/ --output runs/lite
  tsain train weights/tsain-lite.toml --data stacks/ --output runs/lite --resume --steps 20000
  tsain train mine.toml --data . --output runs/mine --start weights/tsain-lite.safetensors"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("recipe", type=Path, help="TOML file: data, preset, settings")
    parser.add_argument(
        "--data", type=Path, default=Path(), help="folder that the recipe's paths start from"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for model, state and log"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    parser.add_argument("--start", type=Path, help="model file whose weights to start from")
    parser.add_argument("--steps", type=integer(1), help="instead of the recipe's")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def run(args: argparse.Namespace) -> None:
    """Train, and write the model file at the end."""
    keep_freed_memory()
    recipe = read_recipe(args.recipe)
    if args.steps:
        recipe = replace(recipe, settings=replace(recipe.settings, steps=args.steps))
    state = args.output / "state.pt"
    if state.exists() and not args.resume:
        raise TsainError(
            f"{args.output} holds a run already; add --resume to go on with it, or choose another "
            "folder."
        )
    if args.resume and not state.exists():
        raise TsainError(f"{args.output} holds no run to resume; leave out --resume.")
    args.output.mkdir(parents=True, exist_ok=True)
    with join(choose_device(args.device)) as (ranks, device):
        trainer = _trainer(recipe, args, ranks, device)
        if args.resume:
            trainer.load_state(state)
        if not ranks.leads:
            for _ in trainer.run():
                pass
            return
        _loop(trainer, args.output)
    if recipe.settings.keep_best and trainer.best.weights:
        trainer.averaged.load_state_dict(trainer.best.weights)
    path = args.output / f"{recipe.name}.safetensors"
    save(path, trainer.averaged, _info(recipe, trainer))
    screen.say(f"{path}: {trainer.step} steps in {trainer.seconds / 60:.0f} minutes")


def _trainer(
    recipe: Recipe, args: argparse.Namespace, ranks: Ranks, device: torch.device
) -> Trainer:
    torch.manual_seed(recipe.settings.seed)
    settings = PRESETS[recipe.preset]
    network = _started(settings, args.start, recipe.preset) if args.start else TSAIN(settings)
    parts = recipe.load_sources(args.data)
    held_out = [
        triplet
        for _, held in parts
        for triplet in islice(held.fixed(_HELD_OUT_CROP), _HELD_OUT_TRIPLETS)
    ]
    s = recipe.settings
    sampler = TripletSampler([training for training, _ in parts], s.crop, s.batch, s.seed)
    teacher = open_network(s.teacher.model).network if s.teacher.model else None
    return Trainer(network, sampler, s, held_out, device, ranks, teacher)


def _started(settings: NetworkSettings, path: Path, preset: str) -> TSAIN:
    """A network with the weights of a model file, of the same or of a smaller structure."""
    start, _ = load(path)
    # weights that know the middle only are those of a network with positions at 1/2
    whole = TSAIN(replace(start.settings, positions=settings.positions))
    whole.load_state_dict(start.state_dict(), strict=False)
    if whole.settings == settings:
        return whole
    try:
        return widen(whole, settings)
    except TsainError as error:
        raise TsainError(
            f"{path.name} is no {preset}, and cannot become one; start from a model of that "
            "preset, or from one with fewer channels and blocks that is alike in all else."
        ) from error


def _loop(trainer: Trainer, folder: Path) -> None:
    """Run to the end, with a progress bar, a log and states to resume from."""
    state = folder / "state.pt"
    steps, every = trainer.settings.steps, trainer.settings.save_every
    with (
        open_logs(folder, every) as logs,
        screen.bar(total=steps, initial=trainer.step, unit="step") as bar,
    ):
        for progress in trainer.run():
            logs.add(progress)
            bar.update()
            if progress.validation is not None:
                bar.set_postfix(held_out=f"{progress.validation:.2f} dB")
            if progress.step % every == 0 or progress.step == steps:
                trainer.save_state(state)


def _info(recipe: Recipe, trainer: Trainer) -> ModelInfo:
    training = recipe.provenance() | {
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60),
        "device": str(trainer.device),
        "recoveries": trainer.recoveries,
    }
    return ModelInfo(
        name=recipe.name,
        settings=trainer.network.settings,
        preset=recipe.preset,
        licence=recipe.licence,
        intensity_range=recipe.intensity_range,
        training=training,
    )
