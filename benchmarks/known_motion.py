"""Do the temporal towers follow motion that is known, and what does it take to make them?

    python benchmarks/known_motion.py --model tsain-lite                shipped weights
    python benchmarks/known_motion.py --train --input STACK --steps 400  small networks, 15 minutes

Both outer slices are one slice moved by whole pixels to opposite sides, with noise of their own;
the truth is that slice where it lies. So each pixel of the truth lies `d` away in one outer slice
and `-d` in the other, and a tower that aligns has offsets of `d` and `-d`. Slope: of the offsets
(mean over taps and groups, weighted by the masks) on the known motion, 1 where a tower follows it,
0 where it does not care. With --train, networks of 16 channels learn from nothing on such slices:
as they are; with offsets that learn faster; with offsets held near the known motion, weakly and
strongly (the offset-fidelity loss of Chan et al. 2021, with the motion in the place of optical
flow). Refinement blocks (DRB) sample the outer slices once more; the first one is shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ablation import SMALL
from common import hardware, print_head, print_row
from numpy.typing import NDArray
from torch import Tensor, nn

from tsain_core.inference.intensity import estimate_range
from tsain_core.inference.models import open_network
from tsain_core.inference.models.baselines import mean_of_neighbours, optical_flow
from tsain_core.network import TSAIN, Sampling
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.training import LossSettings
from tsain_core.training.losses import total_loss
from tsain_core.volumes import open_volume

_FREE = 2.0  # pixels of the image that offsets may stray at no cost
_LR, _BATCH, _CROP, _TESTS = 2e-3, 8, 64, 6
_LOSS = LossSettings(mse=1.0, charbonnier=0.0, ssim=0.12, log_mse=0.1, log_structure=0.05)


_VARIANTS: dict[str, dict[str, float]] = {
    "as it is": {},
    "offsets learn 5 times as fast": {"rate": 5.0},
    "offsets held near the motion, fading": {"fidelity": 0.02},
    "offsets held near the motion, strongly, to the end": {"fidelity": 0.5, "kept": 1.0},
}


@dataclass(frozen=True)
class Pairs:
    """Triplets whose outer slices are the middle one, moved.

    Attributes
    ----------
    images : ndarray of float32 (n, y, x)
        Slices in [0, 1].
    reach : int
        Largest motion in y and x, in pixels, of each outer slice.
    noise : float
        Deviation of Gaussian noise on the outer slices.
    """

    images: NDArray[np.float32]
    reach: int
    noise: float

    def draw(
        self, rng: np.random.Generator, count: int, side: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Before, truth, after (count, 1, side, side) and the motion (count, 2) of (dy, dx)."""
        triplets, motions = [], []
        for _ in range(count):
            motion = rng.integers(-self.reach, self.reach + 1, 2)
            image = self.images[rng.integers(len(self.images))]
            corner = [rng.integers(self.reach, n - side - self.reach + 1) for n in image.shape]
            moved = [_cut(image, corner + k * motion, side) for k in (1, 0, -1)]
            for i in (0, 2):
                moved[i] = moved[i] + self.noise * rng.standard_normal((side, side), np.float32)
            triplets.append(np.stack(moved))
            motions.append(motion)
        before, truth, after = torch.from_numpy(np.stack(triplets, 1)[:, :, None]).unbind()
        return before, truth, after, torch.from_numpy(np.stack(motions)).float()


def _cut(image: NDArray[np.float32], corner: NDArray[np.int64], side: int) -> NDArray[np.float32]:
    y, x = corner
    return image[y : y + side, x : x + side]


def main() -> None:
    """Measure the shipped weights, or train small networks and measure those."""
    args = _arguments()
    stack = open_volume(args.input) if args.input else em_phantom((24, 320, 320), seed=3)
    intensity = estimate_range(stack)
    images = np.stack([intensity.to_unit(stack[z]) for z in range(stack.shape[0])])
    kept = max(2, len(images) // 5)
    learnt = Pairs(images[:-kept], args.reach, args.noise)
    held = Pairs(images[-kept:], args.reach, args.noise)
    print(hardware(torch.device("cpu")))
    print(f"{args.input or 'phantom'}, motion up to {args.reach} px a side, noise {args.noise}\n")
    print_head("network", *_places(), "PSNR dB", "mean of both", "optical flow")
    if not args.train:
        print_row(args.model, *_measured(open_network(args.model).network, held))
        return
    for name, changes in _VARIANTS.items():
        print_row(name, *_measured(_train(learnt, args.steps, **changes), held))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, help="a stack instead of the phantom")
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--train", action="store_true", help="small networks instead of a model")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--reach", type=int, default=6, help="pixels that an outer slice moves")
    parser.add_argument("--noise", type=float, default=0.1, help="of the range of grey values")
    return parser.parse_args()


def _train(
    pairs: Pairs, steps: int, rate: float = 1.0, fidelity: float = 0.0, kept: float = 0.0
) -> TSAIN:
    """A small network after its training.

    `rate` is a factor on the learning rate of offsets; `fidelity`, the weight of their distance
    from the motion, falls to its share `kept` over half of the steps.
    """
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = TSAIN(SMALL)
    offsets = [p for name, p in network.named_parameters() if ".offset_conv." in name]
    others = [p for name, p in network.named_parameters() if ".offset_conv." not in name]
    optimizer = torch.optim.Adam([{"params": others}, {"params": offsets}], lr=_LR)
    for step in range(steps):
        factor = min(1.0, (step + 1) / 50, 2 * (1 - step / steps))
        for group, scale in zip(optimizer.param_groups, (1.0, rate), strict=True):
            group["lr"] = _LR * factor * scale
        before, truth, after, motion = pairs.draw(rng, _BATCH, _CROP)
        sampling = Sampling()
        loss = total_loss(network(before, after, sampling), truth, _LOSS)
        weight = fidelity * max(kept, 1 - 2 * step / steps)
        if weight:
            strays = [
                ((offset - side).abs() - _FREE).clamp(min=0).mean()
                for offset, side in _offsets(sampling, motion)
            ]
            loss = loss + weight * torch.stack(strays).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
    return network.eval()


def _offsets(sampling: Sampling, motion: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Offsets of each place (N, 2, H, W) in pixels of the image, and what they should be.

    In the order of `_places`.
    """
    for side in (0, 2):
        # what lies at p in the truth lies at p - motion in the slice before
        towards = (-motion if side == 0 else motion)[:, :, None, None]
        first = [sampling.temporal[side, level] for level in (1, 2, 3)]
        for points in [*first, sampling.drb[0, side]]:
            weights = points.mask[:, :, :, None] / points.mask.sum((1, 2))[:, None, None, None]
            yield (points.offset * weights).sum((1, 2)) * points.stride, towards


def _places() -> list[str]:
    kinds = ("tower {}, level 1", "tower {}, level 2", "tower {}, level 3", "DRB 1, side {}")
    return [kind.format(side) for side in (0, 2) for kind in kinds]


@torch.inference_mode()
def _measured(network: TSAIN, pairs: Pairs) -> list[str]:
    """Slope of the offsets of each place, and PSNR of the network and of what needs none."""
    rng = np.random.default_rng(1)
    found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in _places()]
    errors: dict[str, list[float]] = {"network": [], "mean": [], "flow": []}
    for _ in range(_TESTS):
        before, truth, after, motion = pairs.draw(rng, 4, 128)
        sampling = Sampling()
        result = network(before, after, sampling)
        inside = (..., slice(16, -16), slice(16, -16))
        for place, (offset, towards) in zip(found, _offsets(sampling, motion), strict=True):
            place.append((offset.mean((2, 3)), towards[:, :, 0, 0]))
        errors["network"].append(float((result - truth)[inside].square().mean()))
        for name, method in (("mean", mean_of_neighbours), ("flow", optical_flow)):
            images = [
                method(a[0], b[0]) for a, b in zip(before.numpy(), after.numpy(), strict=True)
            ]
            other = torch.from_numpy(np.stack(images)[:, None])
            errors[name].append(float((other - truth)[inside].square().mean()))
    slopes = []
    for place in found:
        offset, towards = (torch.cat(values).flatten() for values in zip(*place, strict=True))
        slopes.append(f"{float((offset * towards).sum() / towards.square().sum()):.2f}")
    return slopes + [f"{-10 * np.log10(np.mean(e)):.2f}" for e in errors.values()]


if __name__ == "__main__":
    main()
