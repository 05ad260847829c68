"""What each part of the network gives: the paper's Tables 2 and 3 again, at small scale.

    python benchmarks/ablation.py                                   on the phantom, 40 minutes
    python benchmarks/ablation.py --recipe weights/tsain-lite.toml --data STACKS --score STACK ...

Each variant is trained from nothing on the same batches, with several seeds, and scored on stacks
that it has not seen, as `tsain evaluate` does; so is a plain U-Net as costly as the whole network.
Small scale: 16 channels in 2 offset groups on 2 x 2 pixel-unshuffled input, crops of 64 pixels,
some hundred steps. So the paper's numbers stand beside ours for their order, not for their height;
where the spread over seeds is as large as a difference, nothing was settled.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import hardware, print_head, print_row
from unet import PlainModel, train_unet, unet_multiply_adds, unet_of_cost

from tsain_core.evaluation.leave_one_out import evaluate, mean_by_model
from tsain_core.evaluation.metrics import Scores, mean_scores
from tsain_core.inference.cost import multiply_adds, parameter_count
from tsain_core.inference.intensity import estimate_range
from tsain_core.inference.models import NetworkModel, SliceModel
from tsain_core.model_files.checkpoint import ModelInfo
from tsain_core.network import TSAIN, NetworkSettings
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.training import LossSettings, Trainer, TrainingSettings, TripletSampler
from tsain_core.training.data import TripletSource
from tsain_core.training.recipe import read_recipe
from tsain_core.volumes import open_volume

_CROP = 64  # pixels

#: The network of the ablation.
SMALL = NetworkSettings(
    channels=16,
    image_channels=1,
    feature_blocks=2,
    reconstruction_blocks=5,
    groups=2,
    unshuffle=2,
    residual=True,
    positions=True,
)

#: Name in the paper, what is changed, and the paper's PSNR, SSIM and IE on cremi_triplet B. Its
#: Table 3 calls 17.27 dB the baseline that Table 2 calls M1; k2 it does not vary. The
#: U-Net has no changes.
_VARIANTS: tuple[tuple[str, dict[str, Any] | None, str], ...] = (
    ("Baseline: neither", {"rsabs": 0, "drbs": 0}, "17.15 / 0.3874 / 26.32"),
    ("M1: 3 RSABs, no DRB", {"drbs": 0}, "17.27 / 0.3946 / 26.02"),
    ("M2: no RSAB, 3 DRBs", {"rsabs": 0}, "17.34 / 0.3978 / 25.74"),
    ("N1: 3 RSABs, 1 DRB", {"drbs": 1}, "17.22 / 0.3837 / 26.15"),
    ("N2: 3 RSABs, 2 DRBs", {"drbs": 2}, "17.41 / 0.3939 / 25.58"),
    ("M3 = N3: 3 RSABs, 3 DRBs", {}, "17.52 / 0.4042 / 25.29"),
    ("M3, four times k2", {"reconstruction_blocks": 20}, "not given"),
    ("plain U-Net of M3's multiply-adds", None, "not given"),
)


def main() -> None:
    """Train and score every variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, help="whose volumes and loss are taken")
    parser.add_argument("--data", type=Path, default=Path(), help="folder of its volumes")
    parser.add_argument("--score", type=Path, nargs="+", default=[], help="stacks to score on")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="score every n-th triplet")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if bool(args.recipe) != bool(args.score):
        parser.error("--recipe and --score go together")
    device = torch.device(args.device)
    sources, loss = _training_data(args)
    stacks = _stacks(args)
    print(hardware(device))
    print(f"{args.steps} steps of 8 crops of 64 px, seeds 0 to {args.seeds - 1}\n")
    head = [f"{name}: PSNR (spread) / structure / SSIM / IE" for name in stacks]
    print_head("variant", "parameters", "multiply-adds", *head, "paper: PSNR / SSIM / IE")
    for name, changes, paper in _VARIANTS:
        found: dict[str, list[Scores]] = {stack: [] for stack in stacks}
        for seed in range(args.seeds):
            training = _settings(args.steps, seed, loss)
            model, count, cost = _trained(changes, sources, training, device)
            for stack, volume in stacks.items():
                scores = evaluate(volume, [model], every=args.every)
                found[stack].append(mean_by_model(scores)[model.name])
        print_row(name, f"{count:,}", f"{cost / 1e6:.0f} M", *map(_cell, found.values()), paper)


def _training_data(args: argparse.Namespace) -> tuple[list[TripletSource], LossSettings]:
    """Sources, and the loss."""
    if args.recipe:
        recipe = read_recipe(args.recipe)
        return [part for part, _ in recipe.load_sources(args.data)], recipe.settings.loss
    volume = em_phantom((40, 384, 384), seed=1)
    return [TripletSource(volume, estimate_range(volume))], LossSettings()


def _stacks(args: argparse.Namespace) -> dict[str, Any]:
    """Name -> what is scored on; another phantom, where no stack is given."""
    if args.score:
        return {path.stem: open_volume(path) for path in args.score}
    return {"phantom": em_phantom((12, 384, 384), seed=2)}


def _settings(steps: int, seed: int, loss: LossSettings) -> TrainingSettings:
    return TrainingSettings(
        steps=steps,
        crop=_CROP,
        lr=2e-3,
        warmup=50,
        decay=0.4,
        ema=0.99,
        offset_lr=1.0,
        seed=seed,
        loss=loss,
    )


def _trained(
    changes: dict[str, Any] | None,
    sources: list[TripletSource],
    training: TrainingSettings,
    device: torch.device,
) -> tuple[SliceModel, int, int]:
    """A variant after its training, its parameters, and its multiply-adds for a pair of crops."""
    torch.manual_seed(training.seed)
    sampler = TripletSampler(sources, training.crop, training.batch, training.seed)
    if changes is None:
        unet = unet_of_cost(multiply_adds(SMALL, _CROP, _CROP), _CROP)
        unet = train_unet(unet, sampler, training)
        return PlainModel(unet), parameter_count(unet), unet_multiply_adds(unet, _CROP)
    settings = replace(SMALL, **changes)
    trainer = Trainer(TSAIN(settings), sampler, training, device=device)
    for _ in trainer.run():
        pass
    model = NetworkModel(trainer.averaged, ModelInfo(name="variant", settings=settings), device)
    return model, parameter_count(trainer.network), multiply_adds(settings, _CROP, _CROP)


def _cell(scores: list[Scores]) -> str:
    mean = mean_scores(scores)
    spread = statistics.stdev(s.psnr for s in scores) if len(scores) > 1 else 0.0
    return (
        f"{mean.psnr:.2f} ({spread:.2f}) / {mean.structure:.2f} / {mean.ssim:.4f} / {mean.ie:.2f}"
    )


if __name__ == "__main__":
    main()
