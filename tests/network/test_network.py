"""The network: size, initial state, what it records, and what it computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tsain_core.inference.cost import parameter_count
from tsain_core.network import (
    PRESETS,
    TSAIN,
    AdaptiveSampling,
    NetworkSettings,
    ResidualBlock,
    Sampling,
)
from tsain_core.ops import DeformConv2d

SMALL = NetworkSettings(
    channels=8, feature_blocks=1, reconstruction_blocks=1, rsabs=3, drbs=2, groups=2
)


def pair(height: int = 16, width: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.rand(1, 1, height, width), torch.rand(1, 1, height, width)


def stirred(settings: NetworkSettings, scale: float = 0.05) -> TSAIN:
    """A network whose offsets are not zero."""
    torch.manual_seed(1)
    network = TSAIN(settings).eval()
    for module in network.modules():
        if isinstance(module, AdaptiveSampling):
            nn.init.normal_(module.offset_conv.weight, std=scale)
    return network


@pytest.mark.parametrize(("preset", "total"), [("tsain", 5_664_180), ("tsain-40", 7_879_860)])
def test_parameter_totals(preset: str, total: int) -> None:
    assert parameter_count(TSAIN(PRESETS[preset])) == total


def test_parameters_of_each_part() -> None:
    """As the table of layers derived from the paper has them."""
    network = TSAIN(PRESETS["tsain"])
    parts = {
        network.encoder.first: 1_792,
        network.encoder.blocks: 369_280,
        network.temporal0: 1_112_008,
        network.temporal2: 1_112_008,
        network.temporal_fusion: 8_256,
        network.rsabs: 3 * 163_291,
        network.drbs: 3 * 544_560,
        network.reconstruction.fuse: 49_280,
        network.reconstruction.blocks: 10 * 73_856,
        network.reconstruction.last: 1_731,
    }
    for part, total in parts.items():
        assert parameter_count(part) == total
    pyramid = parameter_count(network.encoder.down) + parameter_count(network.encoder.after)
    assert pyramid == 147_712


def test_initial_state() -> None:
    network = TSAIN(PRESETS["tsain"])
    for module in network.modules():
        if isinstance(module, AdaptiveSampling):
            assert not module.offset_conv.weight.any()
            assert not module.offset_conv.bias.any()  # type: ignore[union-attr]
        elif isinstance(module, ResidualBlock):
            want = 0.1 * (2 / (9 * 64)) ** 0.5
            for layer in (module.conv1, module.conv2):
                assert layer.weight.std().item() == pytest.approx(want, rel=0.05)
                assert not layer.bias.any()  # type: ignore[union-attr]
        elif isinstance(module, DeformConv2d):
            assert 0.99 * (9 * 64) ** -0.5 < module.weight.abs().max() <= (9 * 64) ** -0.5
            assert not module.bias.any()  # type: ignore[union-attr]
    sampling = Sampling()
    TSAIN(SMALL)(*pair(), sampling)
    for points in (*sampling.temporal.values(), *sampling.rsab, *sampling.drb.values()):
        assert not points.offset.any()
        assert (points.mask == 0.5).all()


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_recorded_sampling_points(unshuffle: int) -> None:
    network = stirred(replace(SMALL, unshuffle=unshuffle))
    sampling = Sampling()
    with torch.no_grad():
        images = pair(32, 48)
        recorded = network(*images, sampling)
        torch.testing.assert_close(recorded, network(*images))
    h, w = 32 // unshuffle, 48 // unshuffle
    assert set(sampling.temporal) == {(side, level) for side in (0, 2) for level in (1, 2, 3)}
    for (_, level), points in sampling.temporal.items():
        scale = 2 ** (level - 1)
        assert points.offset.shape == (1, 2, 9, 2, h // scale, w // scale)
        assert points.mask.shape == (1, 2, 9, h // scale, w // scale)
        assert points.stride == scale * unshuffle
    assert [p.offset.shape for p in sampling.rsab] == [(1, 1, 9, 2, h, w)] * 3
    assert set(sampling.drb) == {(block, side) for block in (0, 1) for side in (0, 2)}
    for points in (*sampling.rsab, *sampling.drb.values()):
        assert points.stride == unshuffle
        assert points.offset.any()
        assert points.mask.min() > 0
        assert points.mask.max() < 1


def test_sampling_points_are_where_the_network_samples() -> None:
    """The recorded offsets, applied by hand, reproduce a deformable convolution."""
    from tsain_core.ops import deform_conv2d

    layer = AdaptiveSampling(8, 2, 1)
    nn.init.normal_(layer.offset_conv.weight, std=0.1)
    x, guide = torch.randn(1, 8, 12, 10), torch.randn(1, 8, 12, 10)
    kept: list = []
    out = layer(x, guide, kept.append)
    offset = kept[0].offset.reshape(1, 36, 12, 10)  # group, tap, (dy, dx): as torchvision has them
    mask = kept[0].mask.reshape(1, 18, 12, 10)
    again = deform_conv2d(x, offset, mask, layer.deform.weight, layer.deform.bias, padding=1)
    torch.testing.assert_close(out, again)


def test_order_of_slices_matters() -> None:
    network = stirred(SMALL)
    a, b = pair()
    assert (network(a, b) - network(b, a)).abs().max() > 1e-4


def test_features_serve_both_pairs() -> None:
    network = stirred(replace(SMALL, residual=False))
    a, b = pair()
    with torch.no_grad():
        features = network.encode(a), network.encode(b)
        torch.testing.assert_close(network.between(*features), network(a, b))
    assert [f.shape[-2:] for f in features[0].levels] == [(16, 24), (8, 12), (4, 6)]
    assert features[0].nbytes == 4 * 8 * (16 * 24 + 8 * 12 + 4 * 6)


def test_residual_adds_the_mean() -> None:
    plain, residual = stirred(SMALL), stirred(replace(SMALL, residual=True))
    a, b = pair()
    with torch.no_grad():
        torch.testing.assert_close(residual(a, b), plain(a, b) + (a + b) / 2)


@pytest.mark.parametrize(("unshuffle", "bad"), [(1, (18, 24)), (1, (16, 22)), (2, (16, 20))])
def test_sizes_that_are_no_multiple(unshuffle: int, bad: tuple[int, int]) -> None:
    network = TSAIN(replace(SMALL, unshuffle=unshuffle))
    with pytest.raises(ValueError, match=f"multiples of {4 * unshuffle}: pad it"):
        network(*pair(*bad))


def test_every_parameter_is_used() -> None:
    """No dead weights: each tensor changes the result."""
    network = stirred(SMALL)
    network(*pair()).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_a_batch_is_its_images() -> None:
    network = stirred(replace(SMALL, unshuffle=2, residual=True))
    torch.manual_seed(0)
    a, b = torch.rand(2, 3, 1, 16, 24)
    with torch.no_grad():
        batch = network(a, b)
        for i in range(3):
            torch.testing.assert_close(batch[i : i + 1], network(a[i : i + 1], b[i : i + 1]))


def test_offsets_are_not_rounded_under_autocast() -> None:
    layer = AdaptiveSampling(8, 1, 1)
    nn.init.constant_(layer.offset_conv.bias, 20.03)  # type: ignore[arg-type]
    kept: list = []
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(1, 8, 8, 8), torch.randn(1, 8, 8, 8), kept.append)
    assert kept[0].offset.dtype == torch.float32
    assert kept[0].offset[0, 0, 0, 0, 0, 0].item() == pytest.approx(20.03, abs=1e-5)
