"""Sampling points from a tile against those of a whole slice; traces; maps."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tsain_core.inference.models import InferenceSettings, NetworkModel, open_model
from tsain_core.inference.region import Region
from tsain_core.model_files.checkpoint import ModelInfo
from tsain_core.network import TSAIN, NetworkSettings, Sampling
from tsain_core.offsets import SamplingProbe, sampling_map, trace_steps
from tsain_core.offsets._points import KERNEL, Field

#: Pixels; what a query's tile may differ from the whole slice.
BOUND = 0.05


def blobs(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return np.asarray((noise - noise.min()) / np.ptp(noise), np.float32)


def model_of(network: TSAIN) -> NetworkModel:
    info = ModelInfo("stirred", network.settings)
    return NetworkModel(network, info, torch.device("cpu"), InferenceSettings("cpu"))


@pytest.fixture(scope="module")
def lite() -> NetworkModel:
    model = open_model("tsain-lite", InferenceSettings("cpu"))
    assert isinstance(model, NetworkModel)
    return model


def whole(model: NetworkModel, before: Any, after: Any) -> Sampling:
    """What a forward pass over whole slices records."""
    sampling = Sampling()
    pair = [torch.from_numpy(model.padded(image))[None, None] for image in (before, after)]
    with torch.inference_mode():
        model.network(*pair, sampling)
    return sampling


def expected(points: Any, y: int, x: int, unshuffle: int) -> NDArray[Any]:
    """Sampling points (groups, 9, 2) in pixels, written out without the module that is tested."""
    stride, half = points.stride, (unshuffle - 1) / 2
    i, j = y // stride, x // stride
    offset = points.offset[0, :, :, :, i, j].numpy()
    out = np.zeros_like(offset)
    for tap in range(9):
        out[:, tap, 0] = half + stride * (i + tap // 3 - 1 + offset[:, tap, 0])
        out[:, tap, 1] = half + stride * (j + tap % 3 - 1 + offset[:, tap, 1])
    return out


@pytest.mark.parametrize("shape", [(256, 256), (203, 310)])
@pytest.mark.parametrize("place", [(0, 0), (120, 128), (196, 250)])
def test_a_query_agrees_with_the_whole_slice(
    lite: NetworkModel, shape: tuple[int, int], place: tuple[int, int]
) -> None:
    before, after = blobs(shape), blobs(shape, 1)
    probe = SamplingProbe(lite, before, after, core=32)
    found = probe.at(*place)
    sampling = whole(lite, before, after)
    u = lite.network.settings.unshuffle
    y, x = (n // u * u for n in place)
    assert (found.y, found.x) == (y + (u - 1) / 2, x + (u - 1) / 2)
    for taps, points in zip(found.rsab, sampling.rsab, strict=True):
        wanted = expected(points, y, x, u)
        assert np.abs(np.stack([taps.y, taps.x], -1) - wanted).max() < BOUND
        i, j = y // u, x // u
        assert np.abs(taps.mask - points.mask[0, :, :, i, j].numpy()).max() < BOUND
    assert found.drb.keys() == sampling.drb.keys()
    for key, points in sampling.drb.items():
        taps = found.drb[key]
        wanted = expected(points, y, x, u)
        assert np.abs(np.stack([taps.y, taps.x], -1) - wanted).max() < BOUND
    assert found.temporal.keys() == sampling.temporal.keys()
    taps = found.temporal[0, 1]
    wanted = expected(sampling.temporal[0, 1], y, x, u)
    assert np.abs(np.stack([taps.y, taps.x], -1) - wanted).max() < BOUND


def test_coarse_levels_are_read_at_the_nearest_pixel(stirred_network: TSAIN) -> None:
    model = model_of(stirred_network)
    before, after = blobs((128, 128)), blobs((128, 128), 1)
    probe = SamplingProbe(model, before, after, core=128)
    found = probe.at(40, 72)  # divisible by every stride
    sampling = whole(model, before, after)
    u = stirred_network.settings.unshuffle
    for (side, level), points in sampling.temporal.items():
        assert points.stride == u * 2 ** (level - 1)
        taps = found.temporal[side, level]
        np.testing.assert_allclose(
            np.stack([taps.y, taps.x], -1), expected(points, 40, 72, u), atol=1e-4
        )


def test_later_queries_nearby_compute_nothing(stirred_network: TSAIN) -> None:
    probe = SamplingProbe(model_of(stirred_network), blobs((200, 200)), blobs((200, 200), 1))
    calls = []
    probe.model.network.register_forward_hook(lambda *_: calls.append("forward"))
    hook = probe.model.network.encoder.register_forward_hook(lambda *_: calls.append("encode"))
    probe.at(100, 100)
    assert calls == ["encode", "encode"]  # no image was made
    assert probe.knows(110, 90)
    probe.at(110, 90)
    assert len(calls) == 2
    assert not probe.knows(5, 5)
    probe.at(5, 5)
    assert len(calls) == 4
    hook.remove()
    with pytest.raises(ValueError, match="outside"):
        probe.at(200, 0)


def test_a_quarter_is_reached_by_halving(stirred_network: TSAIN) -> None:
    model = model_of(stirred_network)
    before, after = blobs((96, 96)), blobs((96, 96), 1)
    probe = SamplingProbe(model, before, after, Fraction(1, 4), core=96)
    assert probe.ends == (0, Fraction(1, 2))
    pair = [torch.from_numpy(image)[None, None] for image in (before, after)]
    with torch.inference_mode():
        middle = model.network(*pair)
        sampling = Sampling()
        model.network(pair[0], middle, sampling)
    taps = probe.at(40, 40).rsab[0]
    wanted = expected(sampling.rsab[0], 40, 40, stirred_network.settings.unshuffle)
    np.testing.assert_allclose(np.stack([taps.y, taps.x], -1), wanted, atol=1e-4)


def test_a_third_is_reached_as_close_as_halvings_come(stirred_network: TSAIN) -> None:
    """As the slice of a baseline at that place, looked at with a network."""
    model = model_of(stirred_network)
    before, after = blobs((64, 64)), blobs((64, 64), 1)
    found, wanted = (
        SamplingProbe(model, before, after, place, core=64).at(20, 30).rsab[0].y
        for place in (Fraction(1, 3), Fraction(3, 8))
    )
    np.testing.assert_array_equal(found, wanted)


def test_networks_that_know_the_position_sample_directly() -> None:
    settings = NetworkSettings(
        channels=8, image_channels=1, feature_blocks=1, reconstruction_blocks=1, rsabs=2, drbs=1,
        groups=2, unshuffle=2, residual=True, positions=True,
    )  # fmt: skip
    torch.manual_seed(3)
    network = TSAIN(settings).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    model = model_of(network)
    before, after = blobs((96, 96)), blobs((96, 96), 1)
    pair = [torch.from_numpy(image)[None, None] for image in (before, after)]
    seen = []
    for place in (Fraction(1, 5), Fraction(1, 2), Fraction(4, 5)):
        probe = SamplingProbe(model, before, after, place, core=96)
        assert probe.ends == (0, 1)
        sampling = Sampling()
        with torch.inference_mode():
            network(*pair, sampling, float(place))
        found = probe.at(40, 52)
        for taps, points in zip(found.rsab, sampling.rsab, strict=True):
            wanted = expected(points, 40, 52, 2)
            np.testing.assert_allclose(np.stack([taps.y, taps.x], -1), wanted, atol=1e-4)
        taps = found.temporal[0, 1]
        wanted = expected(sampling.temporal[0, 1], 40, 52, 2)
        np.testing.assert_allclose(np.stack([taps.y, taps.x], -1), wanted, atol=1e-4)
        seen.append(taps.y)
    assert not np.allclose(seen[0], seen[2])


def field(offset: NDArray[Any], mask: NDArray[Any], stride: int = 1) -> Field:
    return Field(offset.astype(np.float32), mask.astype(np.float32), stride, 0.0, 0.0)


def test_trace_of_plain_steps_is_a_wider_kernel() -> None:
    zero, one = np.zeros((1, 9, 2, 21, 21)), np.ones((1, 9, 21, 21))
    reached = trace_steps([field(zero, one, 2)] * 3, 20, 20)  # pixel (10, 10), two pixels wide
    places = {(y, x) for y, x in zip(reached.y, reached.x, strict=True)}
    assert places == {(2.0 * i, 2.0 * j) for i in range(7, 14) for j in range(7, 14)}
    weights = dict(zip(zip(reached.y, reached.x, strict=True), reached.weight, strict=True))
    # three steps of (1, 1, 1) along each axis: (1, 3, 6, 7, 6, 3, 1), the middle as 1
    assert weights[14.0, 20.0] == pytest.approx(1 / 7)
    assert weights[18.0, 18.0] == pytest.approx(36 / 49)


def test_trace_follows_offsets_and_masks() -> None:
    move = np.zeros((1, 9, 2, 21, 21))
    move[:, :, 0] = 2.5
    only_centre = np.zeros((1, 9, 21, 21))
    only_centre[:, 4] = 0.5
    reached = trace_steps([field(move, only_centre)] * 3, 5, 10)
    best = np.argmax(reached.weight)
    assert (reached.y[best], reached.x[best]) == (12.5, 10.0)
    assert np.sum(reached.weight > 0) == 1


def test_maps_of_known_fields(stirred_network: TSAIN) -> None:
    model = model_of(stirred_network)
    before, after = blobs((96, 120)), blobs((96, 120), 1)
    probe = SamplingProbe(model, before, after, core=96)
    region = Region(8, 16, 72, 112)
    for part in ("rsab", "temporal", "drb"):
        for kind in ("offset", "spread"):
            work = sampling_map(probe, region, kind, part)  # type: ignore[arg-type]
            while True:
                try:
                    done, total = next(work)
                except StopIteration as end:
                    image = end.value
                    break
                assert 0 < done <= total
            assert image.shape == region.shape and np.isfinite(image).all()
            assert image.std() > 0
    # at one pixel, by hand
    taps = probe.at(40, 60).rsab[0]
    length = np.hypot(taps.dy, taps.dx)
    wanted = float((taps.mask * length).sum() / taps.mask.sum())
    work = sampling_map(probe, Region(40, 60, 41, 61), "offset")
    with pytest.raises(StopIteration) as end:
        next(work)
        next(work)
    assert end.value.value[0, 0] == pytest.approx(wanted, rel=1e-3)


def test_spread_of_a_plain_kernel_is_1() -> None:
    from tsain_core.offsets._maps import _values

    plain = field(np.zeros((2, 9, 2, 4, 4)), np.full((2, 9, 4, 4), 0.5))
    np.testing.assert_allclose(_values(plain, "spread"), 1, rtol=1e-6)
    wide = field(np.broadcast_to(KERNEL[None, :, :, None, None], (2, 9, 2, 4, 4)), plain.mask)
    np.testing.assert_allclose(_values(wide, "spread"), 2, rtol=1e-6)
    np.testing.assert_allclose(_values(plain, "offset"), 0)
