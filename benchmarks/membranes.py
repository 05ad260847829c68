"""The membrane segmenter: train it, and see what its scores say of real and computed slices.

    python benchmarks/membranes.py train --data STACKS --output membranes.safetensors
    python benchmarks/membranes.py validate --data STACKS

It learns from slices 0 to 15 of `train/vnc_stack1` and its labels, binned by 2, and is judged by 16
to 19: there the reference is drawn by people, so that the real slice itself gets a score. Elsewhere
the reference is what the segmenter finds in the real slice. Copies blurred by a Gaussian show
whether the scores can be won by blur.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from tsain_core.evaluation.leave_one_out import leave_out
from tsain_core.inference.models import InferenceSettings, SliceModel, open_model
from tsain_core.membranes import (
    MembraneJudge,
    MembraneNet,
    load_segmenter,
    mean_of,
    membrane_scores,
    membranes,
)
from tsain_core.volumes import open_volume

_LEARNT, _CROP, _BATCH = 16, 192, 8
#: Stack -> nanometres a pixel; those of which it is not known are taken as they are.
_STACKS = {
    "isbi2012_train": 4.0,
    "fafb_0-3": 4.0,
    "snemi3d_ac3_000-019": 6.0,
    "sbem_050-059": None,
    "retina_apex": None,
    "gala_example": 10.0,
}
_MODELS = ("tsain-lite", "mean", "optical-flow")
_LARGEST = 512


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("train", "validate"))
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and validate/")
    parser.add_argument("--output", type=Path, default=Path("membranes.safetensors"))
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--every", type=int, default=3, help="of the slices of a stack")
    parser.add_argument("--weights", type=Path, help="validate those of this file")
    options = parser.parse_args()
    if options.what == "train":
        train(options.data, options.output, options.steps)
    else:
        validate(options.data, options.weights, options.every)


# Training


def binned(image: NDArray[Any]) -> NDArray[np.float32]:
    """(y, x) -> (y / 2, x / 2), by means of 2 x 2 pixels."""
    height, width = (n // 2 * 2 for n in image.shape)
    blocks = image[:height, :width].reshape(height // 2, 2, width // 2, 2)
    return blocks.mean((1, 3), dtype=np.float32)


def labelled(data: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Slices (z, y, x) and their membranes."""
    images = open_volume(data / "train" / "vnc_stack1.tif")
    labels = tifffile.imread(data / "train" / "vnc_stack1_membranes.tif")
    depth = range(images.shape[0])
    truth = np.stack([binned(labels[z].astype(np.float32)) >= 0.5 for z in depth])
    return np.stack([binned(images[z]) for z in depth]), truth


def train(data: Path, output: Path, steps: int) -> None:
    """Train, and write the weights in half precision."""
    images, truth = labelled(data)
    torch.manual_seed(0)
    network, dice = MembraneNet(), np.random.default_rng(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    began = time.monotonic()
    for step in range(steps):
        pairs = [sample(images[:_LEARNT], truth[:_LEARNT], dice) for _ in range(_BATCH)]
        x, y = (torch.stack(part) for part in zip(*pairs, strict=True))
        logits = network(x)
        loss = functional.binary_cross_entropy_with_logits(logits, y) + overlap(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 49 or step == steps - 1:
            scores = judge(network.eval(), images, truth)
            network.train()
            spent = time.monotonic() - began
            print(f"step {step + 1}: loss {loss.item():.3f}, {scores}, {spent:.0f} s", flush=True)
            state = {k: v.half().contiguous() for k, v in network.state_dict().items()}
            save_file(state, output)


def sample(
    images: NDArray[np.float32], truth: NDArray[np.bool_], dice: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A crop at a random scale, turned and mirrored, with other grey values and noise."""
    z, scale = dice.integers(len(images)), np.exp(dice.uniform(np.log(0.65), np.log(1.5)))
    side = int(_CROP / scale)
    y, x = (dice.integers(n - side + 1) for n in images.shape[1:])
    parts = []
    for stack in (images, truth):
        crop = torch.from_numpy(stack[z, y : y + side, x : x + side].astype(np.float32))
        crop = functional.interpolate(crop[None, None], (_CROP, _CROP), mode="area")[0]
        parts.append(crop)
    image, label = parts[0], (parts[1] >= 0.5).float()
    turns, mirror = int(dice.integers(4)), bool(dice.integers(2))
    image, label = (torch.rot90(p.flip(-1) if mirror else p, turns, (1, 2)) for p in (image, label))
    image = (image - image.min()) / (image.max() - image.min() + 1e-6)
    image = image ** float(np.exp(dice.normal(0, 0.25)))
    image = image + float(abs(dice.normal(0, 0.05))) * torch.from_numpy(
        dice.standard_normal(image.shape, np.float32)
    )
    return (image - image.mean()) / (image.std() + 1e-6), label


def overlap(logits: Tensor, y: Tensor) -> Tensor:
    """1 - Dice, which does not depend on how much of a slice is membrane."""
    p = logits.sigmoid()
    return 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)


def judge(network: MembraneNet, images: NDArray[Any], truth: NDArray[Any]) -> str:
    """Scores on the slices that were not learnt from."""
    found = [
        membrane_scores(membranes(images[z], network), truth[z])
        for z in range(_LEARNT, len(images))
    ]
    mean = mean_of(found)
    return f"membrane {mean.membrane:.3f}, Rand {mean.rand:.3f}, info {mean.information:.3f}"


# Validation


def validate(data: Path, weights: Path | None, every: int) -> None:
    """Print the table."""
    network = load_segmenter(weights)
    print("| stack | slice | membrane F | Rand | information |\n|---|---|---|---|---|", flush=True)
    images, truth = labelled(data)
    print_rows("vnc_stack1, labels", by_labels(images, truth, network))
    for name, pixel in _STACKS.items():
        volume = open_volume(data / "validate" / f"{name}.tif")
        print_rows(name, by_real_slices(volume, network, every, pixel))


def print_rows(stack: str, rows: Iterator[tuple[str, Any]]) -> None:
    """Means of the scores of each kind of slice."""
    kinds: dict[str, list[Any]] = {}
    for kind, scores in rows:
        kinds.setdefault(kind, []).append(scores)
    for kind, found in kinds.items():
        values = " | ".join(f"{v:.3f}" for v in astuple(mean_of(found)))
        print(f"| {stack} | {kind} | {values} |", flush=True)


def by_labels(
    images: NDArray[Any], truth: NDArray[Any], network: MembraneNet
) -> Iterator[tuple[str, Any]]:
    """Slices that were not learnt from, against what people drew."""
    volume = np.rint(images).clip(0, 255).astype(np.uint8)
    for z in range(_LEARNT + 1, len(images) - 1):
        for kind, image in computed(volume[z - 1 : z + 2]):
            yield kind, membrane_scores(membranes(image, network), truth[z][crop(truth[z])])


def by_real_slices(
    volume: Any, network: MembraneNet, every: int, pixel: float | None
) -> Iterator[tuple[str, Any]]:
    """Slices against what is found in the real one."""
    judge = MembraneJudge(pixel, network)
    for z in range(1, volume.shape[0] - 1, every):
        rows = dict(computed(np.stack([volume[z + i] for i in (-1, 0, 1)])))
        real = rows.pop("real")
        for kind, image in rows.items():
            yield kind, judge.score(image, real)


@cache
def _models() -> dict[str, SliceModel]:
    models = {name: open_model(name) for name in _MODELS}
    sharp = InferenceSettings(detail=0.9)
    return {**models, "tsain-lite, detail 0.9": open_model("tsain-lite", sharp)}


def crop(image: NDArray[Any]) -> tuple[slice, slice]:
    """The middle of a slice, as leave-one-out takes it."""
    starts = [max(0, (n - _LARGEST) // 2) for n in image.shape]
    y, x = (slice(s, s + min(n, _LARGEST)) for s, n in zip(starts, image.shape, strict=True))
    return y, x


def computed(triplet: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[Any]]]:
    """(kind, image) of the middle slice of three: real, blurred, and computed by each model."""
    for kind, model in _models().items():
        (left,) = leave_out(triplet, [model])
        if kind == _MODELS[0]:
            yield "real", left.truth
            yield "real, blurred by 2", gaussian_filter(left.truth, 2)
        yield kind, left.image
        if kind == "mean":
            yield "mean, blurred by 2", gaussian_filter(left.image, 2)


if __name__ == "__main__":
    main()
