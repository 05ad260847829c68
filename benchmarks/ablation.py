"""What each part of the network gives: the paper's Tables 2 and 3 again, at small scale.

    python benchmarks/ablation.py                                   on the phantom, 40 minutes
    python benchmarks/ablation.py --recipe weights/tsain-lite.toml --data STACKS --score STACK ...

Each variant is trained from nothing on the same batches, with several seeds, and scored on stacks
that it has not seen, as `tsain evaluate` does. Small scale: 16 channels in 2 offset groups on 2 x 2
pixel-unshuffled input, crops of 64 pixels, some hundred steps. So the paper's numbers stand beside
ours for their order, not for their height; where the spread over seeds is as large as a difference,
nothing was settled.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import hardware, print_head, print_row

from tsain_core.evaluation.leave_one_out import evaluate, mean_by_model
from tsain_core.evaluation.metrics import Scores, mean_scores
from tsain_core.inference.intensity import estimate_range
from tsain_core.inference.models import NetworkModel
from tsain_core.model_files.checkpoint import ModelInfo
from tsain_core.network import TSAIN, NetworkSettings
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.training import LossSettings, Trainer, TrainingSettings, TripletSampler
from tsain_core.training.data import TripletSource
from tsain_core.training.recipe import read_recipe
from tsain_core.volumes import open_volume

_SMALL = NetworkSettings(
    channels=16,
    image_channels=1,
    feature_blocks=2,
    reconstruction_blocks=5,
    groups=2,
    unshuffle=2,
    residual=True,
)

#: Name in the paper, what is changed, and the paper's PSNR, SSIM and IE on cremi_triplet B. Its
#: Table 3 calls 17.27 dB the baseline that Table 2 calls M1; k2 it does not vary.
_VARIANTS: tuple[tuple[str, dict[str, int], str], ...] = (
    ("Baseline: neither", {"rsabs": 0, "drbs": 0}, "17.15 / 0.3874 / 26.32"),
    ("M1: 3 RSABs, no DRB", {"drbs": 0}, "17.27 / 0.3946 / 26.02"),
    ("M2: no RSAB, 3 DRBs", {"rsabs": 0}, "17.34 / 0.3978 / 25.74"),
    ("N1: 3 RSABs, 1 DRB", {"drbs": 1}, "17.22 / 0.3837 / 26.15"),
    ("N2: 3 RSABs, 2 DRBs", {"drbs": 2}, "17.41 / 0.3939 / 25.58"),
    ("M3 = N3: 3 RSABs, 3 DRBs", {}, "17.52 / 0.4042 / 25.29"),
    ("M3, four times k2", {"reconstruction_blocks": 20}, "not given"),
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
    print_head("variant", "parameters", *head, "paper: PSNR / SSIM / IE")
    for name, changes, paper in _VARIANTS:
        network_settings = replace(_SMALL, **changes)
        found: dict[str, list[Scores]] = {stack: [] for stack in stacks}
        for seed in range(args.seeds):
            network = _train(network_settings, sources, loss, args.steps, seed, device)
            info = ModelInfo(name="variant", settings=network_settings)
            model = NetworkModel(network, info, device)
            for stack, volume in stacks.items():
                scores = evaluate(volume, [model], every=args.every)
                found[stack].append(mean_by_model(scores)["variant"])
        count = sum(p.numel() for p in TSAIN(network_settings).parameters())
        print_row(name, f"{count:,}", *map(_cell, found.values()), paper)


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


def _train(
    settings: NetworkSettings,
    sources: list[TripletSource],
    loss: LossSettings,
    steps: int,
    seed: int,
    device: torch.device,
) -> TSAIN:
    """Averaged weights after a short training."""
    torch.manual_seed(seed)
    training = TrainingSettings(
        steps=steps,
        crop=64,
        lr=2e-3,
        warmup=50,
        decay=0.4,
        ema=0.99,
        offset_lr=1.0,
        seed=seed,
        loss=loss,
    )
    sampler = TripletSampler(sources, training.crop, training.batch, seed)
    trainer = Trainer(TSAIN(settings), sampler, training, device=device)
    for _ in trainer.run():
        pass
    return trainer.averaged


def _cell(scores: list[Scores]) -> str:
    mean = mean_scores(scores)
    spread = statistics.stdev(s.psnr for s in scores) if len(scores) > 1 else 0.0
    return (
        f"{mean.psnr:.2f} ({spread:.2f}) / {mean.structure:.2f} / {mean.ssim:.4f} / {mean.ie:.2f}"
    )


if __name__ == "__main__":
    main()
