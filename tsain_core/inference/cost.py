"""What a network costs: parameters, multiply-adds, memory, and how far it looks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..network import TSAIN, NetworkSettings, Sampling, SamplingPoints
from ..ops import DeformConv2d

# Peak memory of a forward pass over that of one feature map: 19 to 27 were measured on CPU, for
# tsain and tsain-lite on slices of 256 to 2048 pixels, and rounded up.
_PEAK_MAPS = 30.0


def parameter_count(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def multiply_adds(settings: NetworkSettings, height: int, width: int) -> int:
    """Multiply-adds of all convolutions for one pair of (height, width) slices."""
    total = 0

    def count(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)
        total += output.numel() * weight[0].numel()

    with torch.device("meta"):
        network = TSAIN(settings)
        image = torch.empty(1, 1, height, width)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | DeformConv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(image, image)
    return total


def receptive_radius(settings: NetworkSettings) -> int:
    """Upper bound in pixels of how far the result at a pixel looks when all offsets are zero."""
    reconstruction = 1 + 2 * settings.reconstruction_blocks + 1
    return sampling_radius(settings) + settings.unshuffle * reconstruction


def sampling_radius(settings: NetworkSettings) -> int:
    """The same for what is sampled at a pixel: the network without its reconstruction."""
    s = settings
    encoder = 1 + 2 * s.feature_blocks
    # Pyramid down: convolutions of stride 2 at levels 1 and 2, ordinary ones at levels 2 and 3.
    down = 1 + 2 + 2 + 4
    # Up: level 3 compares, guides, predicts offsets, samples; level 2 upsamples and merges; so
    # does level 1. All other paths through the tower are no longer.
    up = 4 * 4 + (4 + 2) + (2 + 1)
    blocks = 5 * s.rsabs + 4 * s.drbs
    return s.unshuffle * (encoder + down + up + blocks)


def offset_reach(sampling: Sampling) -> int:
    """How many pixels the sampling offsets of a forward pass add to the receptive radius.

    Of each deformable convolution the offset that 999 of 1000 do not exceed counts: single far
    points have no influence that can be measured.
    """

    def far(points: SamplingPoints) -> Tensor:
        most = np.quantile(points.offset.abs().float().cpu(), 0.999)
        return torch.tensor(float(most) * points.stride, dtype=torch.float64)

    return int(torch.ceil(add_up_reach(sampling, far)))


def add_up_reach(sampling: Sampling, far: Callable[[SamplingPoints], Tensor]) -> Tensor:
    """How far a whole network looks, from how far each deformable convolution does.

    Towers run side by side, so the largest of theirs counts; blocks in a row add up.

    Parameters
    ----------
    sampling : Sampling
    far : callable
        The reach of one convolution; tensors of one shape, which the result has, too.
    """

    blocks = sorted({block for block, _ in sampling.drb})
    in_a_row = [
        list(sampling.temporal.values()),
        *([points] for points in sampling.rsab),
        *([p for (b, _), p in sampling.drb.items() if b == block] for block in blocks),
    ]
    side_by_side = [[far(p) for p in points] for points in in_a_row if points]
    return sum((torch.stack(reaches).amax(0) for reaches in side_by_side), torch.zeros(()))


def peak_bytes(settings: NetworkSettings, height: int, width: int, half: bool) -> int:
    """Estimated memory of one forward pass on a (height, width) pair, weights excluded."""
    pixels = height * width / settings.unshuffle**2
    return int(pixels * settings.channels * (2 if half else 4) * _PEAK_MAPS)
