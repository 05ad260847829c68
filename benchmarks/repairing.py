"""Repair of damage whose truth is known: tears, stains and whole slices of real stacks.

    python benchmarks/repairing.py STACKS --model tsain-lite
    python benchmarks/repairing.py phantom.tif --figure docs/repair-parts.png

In a crop of each stack, pixels are painted over: a tear across the slice, a round stain, a stain in
two neighbouring slices, and a whole slice. They are computed by the network, by the mean of the
neighbours and by DIS optical flow. The error is the root mean square difference from the true
pixels, in grey levels of 256, under the mask. "blended" fits the pixels to those round the mask;
all pixels outside are checked to be unchanged.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from common import print_head, print_row
from scipy.ndimage import gaussian_filter

import tsain_core as tsain
from tsain_core.inference.models import BaselineModel, SliceModel, open_model
from tsain_core.volumes import open_volume

_SIDE = 256
_KINDS = ("tear", "stain", "two slices", "whole slice")


def masks(shape: tuple[int, ...], z: int, seed: int) -> Iterator[tuple[str, Any]]:
    """(kind, mask) of damage about slice `z`, of sizes and places drawn by chance."""
    random = np.random.default_rng(seed)
    y, x = np.indices(shape[1:], float)
    side = min(shape[1:])

    def stain() -> Any:
        middle = random.uniform(0.3, 0.7, 2) * shape[1:]
        rough = gaussian_filter(random.normal(0, 1, shape[1:]), side / 10)
        edge = side * (random.uniform(0.08, 0.18) + 0.03 * rough / rough.std())
        return np.hypot(y - middle[0], x - middle[1]) < edge

    angle, middle = random.uniform(0, np.pi), random.uniform(0.3, 0.7, 2) * shape[1:]
    along = (y - middle[0]) * np.sin(angle) + (x - middle[1]) * np.cos(angle)
    across = (y - middle[0]) * np.cos(angle) - (x - middle[1]) * np.sin(angle)
    across += 0.03 * side * np.sin(along / side * random.uniform(4, 12))
    drawn = (
        {z: np.abs(across) < random.uniform(0.015, 0.05) * side},
        {z: stain()},
        {z: stain(), z + 1: stain()},
        {z: np.ones(shape[1:], bool)},
    )
    for kind, slices in zip(_KINDS, drawn, strict=True):
        mask = np.zeros(shape, bool)
        for place, bits in slices.items():
            mask[place] = bits
        yield kind, mask


def crops(folder: Path) -> Iterator[tuple[str, Any]]:
    """(name, slices as uint8) from the end of each stack that is deep enough."""
    for path in sorted(folder.glob("*/*.tif")):
        if "membranes" in path.stem:
            continue
        volume = open_volume(path)
        depth, height, width = volume.shape
        if depth >= 7 and volume.dtype == np.uint8:
            side = min(_SIDE, height, width)
            y, x = slice(height - side, height), slice(width - side, width)
            yield path.stem, volume.read(slice(depth - 7, depth), y, x)


def error(truth: Any, mask: Any, model: SliceModel, blended: bool) -> float:
    """Root mean square error under a mask."""
    damaged = np.where(mask, np.uint8(255), truth)
    if blended:
        result = tsain.repair(damaged, mask, model=model)
    else:
        plain = "tsain_core.repairing.compute.blend"
        with patch(plain, lambda _real, computed, _mask: computed):
            result = tsain.repair(damaged, mask, model=model)
    values = np.asarray(result)
    assert np.array_equal(values[~mask], truth[~mask])
    return float(np.sqrt(np.mean((values[mask].astype(float) - truth[mask]) ** 2)))


def draw(stack: Path, model: SliceModel, path: Path) -> None:
    """A stained slice, the same repaired, and what was there."""
    import matplotlib.pyplot as plt

    volume = open_volume(stack)
    depth, height, width = volume.shape
    truth = volume.read(slice(0, depth), slice(0, height), slice(0, width))
    z = depth // 2
    mask = next(m for kind, m in masks(truth.shape, z, 1) if kind == "stain")
    damaged = np.where(mask, np.uint8(255), truth)
    repaired = np.asarray(tsain.repair(damaged, mask, model=model))
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
    titles = ("damaged", "repaired", "true")
    for axis, image, title in zip(axes, (damaged, repaired, truth), titles, strict=True):
        axis.imshow(image[z], cmap="gray", vmin=0, vmax=255)
        if title == "repaired":
            axis.contour(mask[z], [0.5], colors="#ffb454", linewidths=0.6)
        axis.set_title(title)
        axis.axis("off")
    figure.savefig(path, dpi=100)


def main() -> None:
    """Print a table for each kind of damage, or draw a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="has train/ and validate/; or a stack to draw")
    parser.add_argument("--figure", type=Path, help="draw a repaired slice of the stack here")
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    network = open_model(args.model)
    if args.figure:
        draw(args.folder, network, args.figure)
        return
    methods = {
        "mean": (BaselineModel("mean"), False),
        "DIS flow": (BaselineModel("optical-flow"), False),
        args.model: (network, False),
        "mean, blended": (BaselineModel("mean"), True),
        "DIS flow, blended": (BaselineModel("optical-flow"), True),
        f"{args.model}, blended": (network, True),
    }
    rows: dict[tuple[str, str], list[list[float]]] = {}
    for name, truth in crops(args.folder):
        for seed in range(args.seeds):
            for kind, mask in masks(truth.shape, 3, seed):
                found = [error(truth, mask, *method) for method in methods.values()]
                rows.setdefault((name, kind), []).append(found)
    for kind in _KINDS:
        print(f"\n{kind}\n")
        print_head("stack", *methods)
        means = {name: np.mean(values, 0) for (name, k), values in rows.items() if k == kind}
        for name, mean in means.items():
            print_row(name, *(f"{value:.1f}" for value in mean))
        print_row("mean", *(f"{value:.2f}" for value in np.mean(list(means.values()), 0)))


if __name__ == "__main__":
    main()
