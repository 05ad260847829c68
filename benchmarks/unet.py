"""A plain U-Net that interpolates slices: what a sceptic would use instead of TSAIN.

    python benchmarks/unet.py weights/tsain-lite.toml --data FOLDER --output runs/unet
    python benchmarks/regimes.py --data FOLDER --peers rife runs/unet/unet.safetensors

Ronneberger et al. 2015, without normalisation; both slices and their position go in, and what comes
out is added to their mean, weighted by position. The first command trains one that is as wide as
the multiply-adds of the recipe's network allow, on the recipe's batches, with its loss, learning
rate and moving average; stopped, it goes on where it was. `--plain` begins without the logarithms
in the loss, as `tsain-lite` did.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import time
from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tsain_core.inference.cost import multiply_adds, parameter_count
from tsain_core.inference.intensity import Scaling
from tsain_core.inference.models import Image, Keys, TileDone
from tsain_core.network import PRESETS
from tsain_core.system.atomic import replacing
from tsain_core.training import TrainingSettings, TripletSampler
from tsain_core.training.losses import total_loss
from tsain_core.training.recipe import read_recipe

_LEVELS = 4
_SLOPE = 0.1  # of the leaky ReLUs, as in TSAIN; with plain ones all channels died
_MARK = {"network": "benchmarks/unet.py"}  # of its files
_MULTIPLE = 2 ** (_LEVELS - 1)  # of which image sides must be multiples


class PlainUNet(nn.Module):
    """The slice at `at` between two slices (N, 1, H, W) in [0, 1].

    Parameters
    ----------
    width : int
        Channels of the finest level; each coarser one has twice as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(_LEVELS)]
        self.down = nn.ModuleList(
            _block(c_in, c_out) for c_in, c_out in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            _block(coarse + fine, fine) for fine, coarse in zip(widths, widths[1:], strict=False)
        )
        self.last = nn.Conv2d(width, 1, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # else the features fade from layer to layer
                nn.init.kaiming_normal_(layer.weight, _SLOPE)
        nn.init.zeros_(self.last.weight)  # starts as the mean of both slices
        if self.last.bias is not None:
            nn.init.zeros_(self.last.bias)

    def forward(self, before: Tensor, after: Tensor, at: Tensor) -> Tensor:
        """See the class; `at` has shape (N,)."""
        at = at.view(-1, 1, 1, 1)
        height, width = before.shape[-2:]
        x = torch.cat([before, after, at.expand_as(before)], 1)
        x = F.pad(x, (0, -width % _MULTIPLE, 0, -height % _MULTIPLE), "replicate")
        kept = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        for level in range(_LEVELS - 2, -1, -1):
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = self.up[level](torch.cat([x, kept[level]], 1))
        change: Tensor = self.last(x)[..., :height, :width]
        return (1 - at) * before + at * after + change


def _block(c_in: int, c_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (c_in, c_out):
        layers += [nn.Conv2d(source, c_out, 3, padding=1), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers)


def unet_of_cost(multiply_adds: int, side: int = 64) -> PlainUNet:
    """The widest U-Net that needs no more multiply-adds for a pair of slices of that side."""
    width = 1
    while unet_multiply_adds(PlainUNet(width + 1), side) <= multiply_adds:
        width += 1
    return PlainUNet(width)


def unet_multiply_adds(network: PlainUNet, side: int) -> int:
    """Of all convolutions, for one pair of slices of that side."""
    image = torch.zeros(1, 1, side, side)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        network(image, image, torch.tensor([0.5]))
    return int(counted.get_total_flops()) // 2


def train_unet(
    network: PlainUNet, sampler: TripletSampler, s: TrainingSettings, state: Path | None = None
) -> PlainUNet:
    """Train as `Trainer` does, on the CPU; a network with the moving average of the weights.

    With `state`, a file, training goes on from what is kept there, and is kept there.
    """
    averaged = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.Adam(network.parameters(), lr=s.lr)
    kept: dict[str, Any] = {"network": network, "averaged": averaged, "optimizer": optimizer}
    first, start = 0, time.monotonic()
    if state is not None and state.exists():
        values = torch.load(state, weights_only=True)
        first = values["step"]
        for name, part in kept.items():
            part.load_state_dict(values[name])
    for step in range(first, s.steps):
        optimizer.param_groups[0]["lr"] = s.lr * s.lr_factor(step)
        before, truth, after, at = sampler.batch_at(step)
        loss = total_loss(network(before, after, at), truth, s.loss)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), s.clip)
        optimizer.step()
        decay = min(s.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
        if state is not None and ((step + 1) % s.save_every == 0 or step + 1 == s.steps):
            with replacing(state) as partial:
                torch.save(
                    {"step": step + 1} | {n: p.state_dict() for n, p in kept.items()}, partial
                )
            minutes = (time.monotonic() - start) / 60
            print(f"step {step + 1} of {s.steps}, loss {loss:.4f}, {minutes:.0f} min", flush=True)
    return averaged


class PlainModel:
    """A network that takes two slices and a position, as a slice model; a slice is one tile."""

    any_position = True
    mix_shares = None
    brightness_slices = 1
    detail = 0.0
    scaling = Scaling()
    tiled = None
    pointwise = False
    device = torch.device("cpu")
    execution = "cpu"

    def __init__(self, network: nn.Module, name: str = "unet") -> None:
        self._network = network
        self.name = name

    def between(
        self,
        before: Image,
        after: Image,
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """See `SliceModel.between`."""
        pair = (torch.from_numpy(i)[None, None] for i in (before, after))
        with torch.inference_mode():
            image: Image = self._network(*pair, torch.tensor([float(fraction)]))[0, 0].numpy()
        yield TileDone(1, 1)
        return image

    def provenance(self) -> dict[str, object]:
        """See `SliceModel.provenance`."""
        return {"model": self.name, "version": "trained by benchmarks"}


def save_unet(path: Path, network: PlainUNet) -> None:
    """Write a file for `load_unet`, in half precision."""
    values = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(values, path, _MARK)


def is_unet(name: str) -> bool:
    """Whether it is a file that `save_unet` wrote."""
    if not Path(name).is_file():
        return False
    with safe_open(name, "pt") as file:
        return file.metadata() == _MARK


def load_unet(path: Path) -> PlainModel:
    """What `save_unet` wrote; its name tells one file from another."""
    values = load_file(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:6]
    network = PlainUNet(values["down.0.0.weight"].shape[0])
    network.load_state_dict({name: value.float() for name, value in values.items()})
    return PlainModel(network.eval(), f"{path.stem}-{digest}")


def main() -> None:
    """Train a U-Net by a recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path, help="data, loss, settings, and how costly it may be")
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the recipe's volumes")
    parser.add_argument("--output", type=Path, required=True, help="folder for state and weights")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument(
        "--plain", type=int, default=0, help="of these, first ones without logarithms in the loss"
    )
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    s = replace(recipe.settings, steps=args.steps or recipe.settings.steps)
    torch.manual_seed(s.seed)
    side = 64
    network = unet_of_cost(multiply_adds(PRESETS[recipe.preset], side, side), side)
    cost = unet_multiply_adds(network, side) / side**2
    print(f"{parameter_count(network):,} parameters, {cost:,.0f} multiply-adds a pixel", flush=True)
    sources = [training for training, _ in recipe.load_sources(args.data)]
    sampler = TripletSampler(sources, s.crop, s.batch, s.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    network = network.to(memory_format=torch.channels_last)
    state = args.output / "state.pt"
    plain = replace(s.loss, log_mse=0.0, log_structure=0.0)
    train_unet(network, sampler, replace(s, steps=args.plain, decay=0.0, loss=plain), state)
    save_unet(args.output / "unet.safetensors", train_unet(network, sampler, s, state))


if __name__ == "__main__":
    main()
