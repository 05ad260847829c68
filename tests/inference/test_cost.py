"""Costs: multiply-adds, memory, and how far the network looks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tsain_core.inference.cost import multiply_adds, offset_reach, peak_bytes, receptive_radius
from tsain_core.network import (
    PRESETS,
    TSAIN,
    AdaptiveSampling,
    NetworkSettings,
    Sampling,
    SamplingPoints,
)

SMALL = NetworkSettings(
    channels=4, image_channels=1, feature_blocks=1, reconstruction_blocks=1, rsabs=1, drbs=1,
    groups=2,
)  # fmt: skip


def guided(settings: NetworkSettings, scale: float) -> TSAIN:
    """A network whose offsets depend on its features."""
    torch.manual_seed(1)
    network = TSAIN(settings).eval()
    for module in network.modules():
        if isinstance(module, AdaptiveSampling):
            nn.init.normal_(module.offset_conv.weight, std=scale)
    return network


def test_cost() -> None:
    """Within 1 % of the published 315.8 and 1263.3 G; the small preset at most an eighth."""
    full = multiply_adds(PRESETS["tsain"], 512, 512)
    assert full == pytest.approx(1263.3e9, rel=0.01)
    assert multiply_adds(PRESETS["tsain"], 256, 256) * 4 == full
    assert multiply_adds(PRESETS["tsain-40"], 512, 512) == pytest.approx(1843.1e9, rel=0.01)
    assert multiply_adds(PRESETS["tsain-lite"], 512, 512) <= full / 8
    assert peak_bytes(SMALL, 64, 64, half=True) * 2 == peak_bytes(SMALL, 64, 64, half=False)


def points(offset: float, stride: int, outlier: float = 0.0) -> SamplingPoints:
    offsets = torch.full((1, 1, 9, 2, 40, 40), offset)
    offsets[0, 0, 0, 0, 0, 0] = -outlier
    return SamplingPoints(offsets, torch.ones(1, 1, 9, 40, 40), stride)


def test_offsets_add_to_the_reach() -> None:
    """Towers beside each other count once, blocks in a row each; pixels are those of the image."""
    assert offset_reach(Sampling()) == 0
    temporal = {(0, 1): points(1.0, 1), (0, 3): points(-2.0, 4), (2, 3): points(1.0, 4)}
    drb = {(0, 0): points(1.0, 1), (0, 2): points(-3.0, 1), (1, 0): points(2.0, 1)}
    assert offset_reach(Sampling(temporal=temporal)) == 8
    assert offset_reach(Sampling(rsab=[points(1.5, 2), points(0.2, 1)])) == 4  # 3.2
    assert offset_reach(Sampling(drb=drb)) == 5
    assert offset_reach(Sampling(temporal, [points(1.5, 2)], drb)) == 16
    assert offset_reach(Sampling(rsab=[points(1.0, 1, outlier=500.0)])) == 1


def test_memory_grows_with_the_image() -> None:
    one = peak_bytes(SMALL, 64, 64, half=False)
    assert peak_bytes(SMALL, 128, 128, half=False) == 4 * one
    assert peak_bytes(replace(SMALL, unshuffle=2), 128, 128, half=False) == one


def reach_of(network: TSAIN, size: int) -> int:
    """How far from a pixel, of any phase, the input that it depends on extends."""
    a, b = torch.rand(2, 1, 1, size, size, dtype=torch.float64).requires_grad_()
    out = network(a, b)
    reach = 0
    for phase in range(network.settings.multiple):
        at = size // 2 + phase
        for grad in torch.autograd.grad(out[0, 0, at, at], (a, b), retain_graph=True):
            reach = max(reach, int((grad[0, 0].nonzero() - at).abs().max()))
    return reach


@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, unshuffle=2), replace(SMALL, rsabs=3)])
def test_receptive_radius(settings: NetworkSettings) -> None:
    """Nothing beyond the bound is felt, and the bound is not loose."""
    radius = receptive_radius(settings)
    size = 2 * (radius + 16) // 8 * 8
    torch.manual_seed(0)
    plain = reach_of(TSAIN(settings).double(), size)  # the offsets depend on nothing yet
    assert 0.5 * radius <= plain <= radius
    near = reach_of(guided(settings, 1e-4).double(), size)  # nor are they far from zero here
    assert plain < near <= radius
    assert near >= 0.9 * radius


def test_receptive_radius_of_the_papers_depth() -> None:
    """86 pixels were derived from the paper's layers by hand."""
    settings = replace(PRESETS["tsain"], channels=4, image_channels=1, groups=2)
    radius = receptive_radius(settings)
    assert radius == receptive_radius(PRESETS["tsain"])
    assert reach_of(guided(settings, 1e-4).double(), 2 * radius // 4 * 4 + 16) == 86 <= radius
