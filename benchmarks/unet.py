"""A plain U-Net that interpolates slices: what a sceptic would use instead of TSAIN.

Ronneberger et al. 2015, without normalisation; both slices and their position go in, and what comes
out is added to their mean, weighted by position.
"""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tsain_core.inference.intensity import Scaling
from tsain_core.inference.models import Image, Keys, TileDone
from tsain_core.training import TrainingSettings, TripletSampler
from tsain_core.training.losses import total_loss

_LEVELS = 4
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
        layers += [nn.Conv2d(source, c_out, 3, padding=1), nn.ReLU()]
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


def train_unet(network: PlainUNet, sampler: TripletSampler, s: TrainingSettings) -> PlainUNet:
    """Train in place as `Trainer` does, on the CPU; its weights, not their average."""
    optimizer = torch.optim.Adam(network.parameters(), lr=s.lr)
    for step in range(s.steps):
        optimizer.param_groups[0]["lr"] = s.lr * s.lr_factor(step)
        before, truth, after, at = sampler.batch_at(step)
        loss = total_loss(network(before, after, at), truth, s.loss)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), s.clip)
        optimizer.step()
    return network.eval()


class UNetModel:
    """A U-Net as a slice model; a slice is one tile."""

    name = "unet"
    any_position = True
    mean_shares = None
    brightness_slices = 1
    detail = 0.0
    scaling = Scaling()
    tiled = None
    pointwise = False
    device = torch.device("cpu")
    execution = "cpu"

    def __init__(self, network: PlainUNet) -> None:
        self._network = network

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
        return {"model": self.name, "version": "trained by benchmarks/ablation.py"}
