"""Networks that compute a slice at any fraction of the way between two slices."""

from __future__ import annotations

import copy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from support.blockwise import cut_small, finish, in_memory
from tsain_core.blockwise import InterpolationRequest
from tsain_core.inference.ensemble import views
from tsain_core.inference.models import (
    InferenceSettings,
    NetworkModel,
    any_position,
    open_model,
    run_to_end,
)
from tsain_core.interpolation.selection import SliceSelection
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN, Sampling, SideWeights
from tsain_core.offsets import SamplingProbe
from tsain_core.training import Trainer, TrainingSettings, TripletSampler, TripletSource
from tsain_core.training.regimes import Regimes
from tsain_core.volumes import open_volume

THIRD = Fraction(1, 3)


def noise(seed: int, shape: tuple[int, int] = (64, 64)) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random(shape, np.float32)


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    a, b = (torch.from_numpy(noise(seed))[None, None] for seed in (1, 2))
    return a, b


@pytest.fixture(scope="module")
def network(stirred_network: TSAIN) -> TSAIN:
    """A network whose result depends on the position in every way that it can."""
    torch.manual_seed(2)
    network = TSAIN(replace(stirred_network.settings, positions=True)).eval()
    network.load_state_dict(stirred_network.state_dict(), strict=False)
    for name, parameter in network.named_parameters():
        if name.endswith((".position", ".slope")):
            torch.nn.init.normal_(parameter, std=0.5)
    return network


def model_of(network: TSAIN, **settings: object) -> NetworkModel:
    info = ModelInfo("placed", network.settings)
    options = InferenceSettings("cpu", **settings)  # type: ignore[arg-type]
    return NetworkModel(network, info, torch.device("cpu"), options)


def test_half_way_is_what_the_network_without_positions_computes(
    network: TSAIN, stirred_network: TSAIN
) -> None:
    with torch.inference_mode():
        wanted = stirred_network(*tensors())
        torch.testing.assert_close(network(*tensors()), wanted, rtol=0, atol=1e-6)
        placed = network(*tensors(), at=torch.tensor([0.5]))
        torch.testing.assert_close(placed, wanted, rtol=0, atol=1e-6)
        with pytest.raises(ValueError, match="half-way only"):
            stirred_network(*tensors(), at=0.25)


@pytest.mark.parametrize("part", ["position", "temporal_weights", "feature_weights", "base"])
def test_every_part_knows_the_position(network: TSAIN, part: str) -> None:
    """With all other parts told nothing, each still changes the result."""
    alone = copy.deepcopy(network)
    for name, parameter in alone.named_parameters():
        if name.endswith((".position", ".slope")) and part not in name:
            torch.nn.init.zeros_(parameter)
    with torch.inference_mode():
        near, far = (alone(*tensors(), at=at) for at in (0.2, 0.8))
        if part != "base":
            near = near - alone.base(*tensors(), at=0.2)
            far = far - alone.base(*tensors(), at=0.8)
    assert float((near - far).abs().mean()) > 1e-6


def test_each_position_of_a_batch_is_its_own(network: TSAIN) -> None:
    a, b = tensors()
    at = torch.tensor([0.125, 0.75])
    with torch.inference_mode():
        both = network(a.expand(2, -1, -1, -1), b.expand(2, -1, -1, -1), at=at)
        for i in (0, 1):
            alone = network(a, b, at=float(at[i]))
            torch.testing.assert_close(both[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_side_weights_favour_the_nearer_slice() -> None:
    weights = SideWeights(4, 1.0)
    ones = torch.ones(1, 4, 2, 2)
    for lean, wanted in ((-1.0, (2, 0)), (0.0, (1, 1)), (1.0, (0, 2))):
        near, far = weights(ones, ones, torch.full((1, 1, 1, 1), lean))
        assert (near == wanted[0]).all() and (far == wanted[1]).all()


@pytest.mark.parametrize("shape", [(64, 64), (90, 131)])
def test_model_computes_a_position_directly(network: TSAIN, shape: tuple[int, int]) -> None:
    """Padded, and in tiles: what the network itself gives."""
    model = model_of(network)
    assert model.any_position
    before, after = noise(1, shape), noise(2, shape)
    whole = run_to_end(model.between(before, after, THIRD))
    pair = [torch.from_numpy(model.padded(image))[None, None] for image in (before, after)]
    with torch.inference_mode():
        wanted = network(*pair, at=1 / 3)[0, 0, : shape[0], : shape[1]].numpy()
    np.testing.assert_allclose(whole, wanted, atol=2e-5)
    tiled = run_to_end(model_of(network, tile=32, halo=200).between(before, after, THIRD))
    np.testing.assert_allclose(tiled, whole, atol=2e-5)


def test_reversed_pass_sees_the_position_from_the_other_side(network: TSAIN) -> None:
    """Both passes of an ensemble over two views turn with the pair."""
    before, after = noise(1), noise(2)
    model = model_of(network)
    passes = []
    for view in views(2):
        pair = [np.ascontiguousarray(view.turn.apply(image)) for image in (before, after)]
        at = 1 - THIRD if view.reversed else THIRD
        image = run_to_end(model.between(*(pair[::-1] if view.reversed else pair), at))
        passes.append(view.turn.undo(image))
    averaged = run_to_end(model_of(network, ensemble=2).between(before, after, THIRD))
    np.testing.assert_allclose(averaged, np.mean(passes, 0), atol=2e-5)


@pytest.mark.parametrize(
    "request_", [SliceSelection(factor=3), SliceSelection(factor=5, damaged=(2,))]
)
@pytest.mark.usefixtures("shallow_blocks")
def test_blocks_at_exact_positions(
    narrow: InterpolationRequest,
    network: TSAIN,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request_: SliceSelection,
) -> None:
    """Factors that are no power of two: same voxels as in memory, nothing shifted, all marked."""
    path = tmp_path / "placed.safetensors"
    save(path, network, ModelInfo("placed", network.settings))
    assert any_position(str(path)) and any_position("mean")
    cut_small(monkeypatch, 64)
    settings = InferenceSettings("cpu", tile=32, halo=16)
    spec = replace(narrow, model=str(path), selection=request_, inference=settings)
    plan, _ = finish(spec)
    volume = open_volume(spec.output)
    np.testing.assert_array_equal(volume.data.compute(), in_memory(spec, plan))
    schedule = plan.schedule(spec.open_volume())
    assert schedule.largest_shift == 0
    assert volume.shape[0] == 4 * int(request_.factor or 1) + 1
    assert tuple(volume.synthetic) == schedule.synthetic
    assert volume.voxel_size is not None
    assert volume.voxel_size[0] == pytest.approx(40 / int(request_.factor or 1))


def test_sampling_points_are_those_at_the_position(network: TSAIN) -> None:
    before, after = noise(1, (96, 96)), noise(2, (96, 96))
    probe = SamplingProbe(model_of(network), before, after, THIRD, core=96)
    assert probe.ends == (0, 1)
    sampling = Sampling()
    pair = [torch.from_numpy(image)[None, None] for image in (before, after)]
    with torch.inference_mode():
        network(*pair, sampling, 1 / 3)
    stride = network.settings.unshuffle
    offset = sampling.rsab[0].offset[0, 0, :, :, 40 // stride, 40 // stride].numpy() * stride
    taps = probe.at(40, 40).rsab[0]
    centre = np.array([probe.at(40, 40).y, probe.at(40, 40).x])
    grid = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]) * stride
    np.testing.assert_allclose(np.stack([taps.y, taps.x], -1)[0], centre + grid + offset, atol=1e-3)


def test_training_learns_positions(stirred_network: TSAIN) -> None:
    """Weights that say where change, and a slice near a real one comes closer to it."""
    from tsain_core.inference.intensity import IntensityRange

    stack = np.stack([np.full((32, 32), z / 8, np.float32) for z in range(9)])
    stack += 0.2 * noise(3, (32, 32))
    network = TSAIN(replace(stirred_network.settings, positions=True))
    still = Regimes(
        resampled=0, binning=(1, 1), gaps=(4, 8), middle=0.2, same=0, noisy=0, grained=0, drift=0
    )
    source = TripletSource(stack, IntensityRange(0, 1), regimes=still)
    settings = TrainingSettings(steps=25, lr=5e-3, warmup=1, ema=0.5)
    trainer = Trainer(network, TripletSampler([source], 16, 8), settings)
    start = {k: v.clone() for k, v in network.state_dict().items()}
    for _ in trainer.run():
        pass
    moved = [k for k, v in network.state_dict().items() if (v != start[k]).any()]
    assert "temporal_weights.slope" in moved and "feature_weights.slope" in moved
    assert any(k.endswith(".position") for k in moved)
    a, b = (torch.from_numpy(stack[z])[None, None] for z in (0, 8))
    with torch.inference_mode():
        quarter = trainer.averaged(a, b, at=0.25)
    assert float((quarter - torch.from_numpy(stack[2])).abs().mean()) < 0.12


def test_shipped_positions_open(network: TSAIN, tmp_path: Path) -> None:
    """A model file says whether it knows positions, and opens as such."""
    path = tmp_path / "placed.safetensors"
    save(path, network, ModelInfo("placed", network.settings))
    opened = open_model(path, InferenceSettings("cpu"))
    assert opened.any_position
    image = run_to_end(opened.between(noise(1), noise(2), THIRD))
    wanted = run_to_end(model_of(network).between(noise(1), noise(2), THIRD))
    np.testing.assert_array_equal(image, wanted)
