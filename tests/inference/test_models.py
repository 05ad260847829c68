"""Networks and baselines as slice models: tiles, padding, memory, reuse of features."""

from __future__ import annotations

import hashlib
import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from support.slice_models import RNG, pair, run, wrap
from tsain_core.errors import TsainError
from tsain_core.inference.models import (
    BASELINES,
    InferenceSettings,
    NetworkModel,
    SliceKey,
    TileDone,
    choose_device,
    open_model,
    open_network,
)
from tsain_core.inference.models.network_model import pad_to_multiple
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN

HALF = Fraction(1, 2)


@pytest.mark.parametrize("shape", [(297, 301), (200, 512), (256, 130)])
def test_tiled_equals_whole(stirred_network: TSAIN, shape: tuple[int, int]) -> None:
    images = pair(*shape)
    whole, _ = run(wrap(stirred_network).between(*images))
    model = wrap(stirred_network, tile=64)
    tiled, steps = run(model.between(*images))
    assert model.halo is not None
    assert model.halo > 60
    assert steps[-1] == TileDone(len(steps), len(steps))
    assert len(steps) > 4
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


def test_too_small_a_halo_shows(stirred_network: TSAIN) -> None:
    """So the test above can fail."""
    images = pair(200, 200)
    whole, _ = run(wrap(stirred_network).between(*images))
    tiled, _ = run(wrap(stirred_network, tile=64, halo=0).between(*images))
    assert np.abs(tiled - whole).max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (7, 64), (65, 9)])
def test_odd_and_tiny_images(stirred_network: TSAIN, shape: tuple[int, int]) -> None:
    image, _ = run(wrap(stirred_network).between(*pair(*shape)))
    assert image.shape == shape
    assert image.dtype == np.float32
    assert np.isfinite(image).all()


def test_padding_reflects() -> None:
    image = np.arange(6, dtype=np.float32).reshape(1, 6)
    assert pad_to_multiple(image, 4)[0].tolist() == [0, 1, 2, 3, 4, 5, 5, 5]  # too low to reflect
    image = np.arange(30, dtype=np.float32).reshape(5, 6)
    padded = pad_to_multiple(image, 4)
    assert padded.shape == (8, 8)
    np.testing.assert_array_equal(padded[5:, :6], image[3:0:-1])
    assert pad_to_multiple(padded, 4) is padded


@pytest.mark.parametrize("message", ["CUDA out of memory", "not enough memory: you tried"])
def test_out_of_memory_halves_the_tile(
    stirred_network: TSAIN, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    images = pair(256, 256)
    want, _ = run(wrap(stirred_network, tile=64, halo=32).between(*images))
    model = wrap(stirred_network, tile=512, halo=32)
    encode = model.network.encode

    def limited(image: torch.Tensor):  # type: ignore[no-untyped-def]
        if image.shape[-1] > 150:
            kind = torch.OutOfMemoryError if "CUDA" in message else RuntimeError
            raise kind(message)
        return encode(image)

    model.network.encode = limited  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        got, _ = run(model.between(*images))
    assert model.tile == 64
    assert caplog.text.count("Out of memory") == 2  # for 256 and 128
    np.testing.assert_array_equal(got, want)


def test_memory_that_suffices_for_small_tiles_alone(stirred_network: TSAIN) -> None:
    """Measuring the offsets for the halo takes no more than the tiles themselves."""
    model = wrap(stirred_network, tile=400)
    encode = model.network.encode

    def limited(image: torch.Tensor):  # type: ignore[no-untyped-def]
        if image.shape[-1] > 350:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(image)

    model.network.encode = limited  # type: ignore[method-assign]
    images = pair(400, 400)
    got, _ = run(model.between(*images))
    assert model.tile == 104
    want, _ = run(wrap(stirred_network).between(*images))
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_memory_that_never_suffices(stirred_network: TSAIN) -> None:
    model = wrap(stirred_network, tile=256)

    def never(image: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.network.encode = never  # type: ignore[method-assign, assignment]
    with pytest.raises(TsainError, match="does not suffice for tiles of 64 px"):
        run(model.between(*pair(256, 256)))


def test_other_errors_are_not_swallowed(stirred_network: TSAIN) -> None:
    model = wrap(stirred_network)

    def broken(image: torch.Tensor) -> None:
        raise RuntimeError("something else")

    model.network.encode = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError, match="something else"):
        run(model.between(*pair(32, 32)))


@pytest.mark.parametrize("tile", [128, 64])
def test_features_of_a_slice_are_computed_once(stirred_network: TSAIN, tile: int) -> None:
    model = wrap(stirred_network, tile=tile, halo=16)
    calls = 0
    encode = model.network.encode

    def counted(image: torch.Tensor):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        return encode(image)

    model.network.encode = counted  # type: ignore[method-assign]
    stack = list(RNG.random((6, 128, 128), np.float32))
    for before, after in zip(stack, stack[1:], strict=False):
        run(model.between(before, after))
    assert calls == 6 * (128 // tile) ** 2


def test_other_arrays_are_never_mistaken(stirred_network: TSAIN) -> None:
    """Many short-lived arrays, whose addresses are used again."""
    model, fresh = wrap(stirred_network), wrap(stirred_network)
    for _ in range(12):
        images = pair(16, 16)
        got, _ = run(model.between(*images))
        fresh._kept = type(fresh._kept)(0)  # keeps nothing
        want, _ = run(fresh.between(*images))
        np.testing.assert_array_equal(got, want)


def test_a_changed_array_is_another_slice(stirred_network: TSAIN) -> None:
    model, (before, after) = wrap(stirred_network), pair(32, 32)
    first, _ = run(model.between(before, after))
    before[:] = before[::-1].copy()
    second, _ = run(model.between(before, after))
    want, _ = run(wrap(stirred_network).between(before, after))
    np.testing.assert_array_equal(second, want)
    assert np.abs(second - first).max() > 0


def test_slices_are_known_by_their_keys(
    stirred_network: TSAIN, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, stack = wrap(stirred_network), RNG.random((3, 32, 32), np.float32)
    encoded = []
    encode = model._execution.encode
    monkeypatch.setattr(model._execution, "encode", lambda x: encoded.append(x) or encode(x))
    token = object()
    keys = [SliceKey(token, Fraction(z)) for z in range(3)]
    for z in (0, 1):
        run(model.between(*stack[z : z + 2].copy(), HALF, (keys[z], keys[z + 1])))
    assert len(encoded) == 3  # the middle slice once, though its array is another
    other = [SliceKey(object(), Fraction(z)) for z in range(2)]
    run(model.between(*stack[:2], HALF, (other[0], other[1])))
    assert len(encoded) == 5  # another run
    assert keys[0] == SliceKey(token, Fraction(0), fraction=Fraction(1))
    assert keys[0] != SliceKey(token, Fraction(0), made_from=(0, 1))


def test_only_the_middle(stirred_network: TSAIN) -> None:
    with pytest.raises(ValueError, match="1/2 only"):
        run(wrap(stirred_network).between(*pair(8, 8), Fraction(1, 3)))
    with pytest.raises(ValueError, match="must agree"):
        run(wrap(stirred_network).between(pair(8, 8)[0], pair(8, 9)[0]))


def test_closing_early(stirred_network: TSAIN) -> None:
    model = wrap(stirred_network, tile=64, halo=8)
    images = pair(256, 256)
    work = model.between(*images)
    assert next(work) == TileDone(1, 16)
    work.close()
    got, _ = run(model.between(*images))
    want, _ = run(wrap(stirred_network, tile=64, halo=8).between(*images))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_by_name(name: str) -> None:
    model = open_model(name)
    assert model.name == name
    assert model.any_position
    a, b = pair(32, 40)
    image, steps = run(model.between(a, b, Fraction(1, 4)))
    assert steps == [TileDone(1, 1)]
    assert image.shape == a.shape
    if name == "mean":
        np.testing.assert_allclose(image, 0.75 * a + 0.25 * b, rtol=1e-5)
    assert model.provenance() == {"model": name}


def test_models_from_files(stirred_network: TSAIN, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save(path, stirred_network, ModelInfo("mine", stirred_network.settings, licence="CC BY"))
    model = open_model(path, InferenceSettings(device="cpu", tile=64))
    assert isinstance(model, NetworkModel)
    assert (model.name, model.tile, model.any_position) == ("mine", 64, False)
    provenance = model.provenance()
    assert (provenance["model"], provenance["licence"]) == ("mine", "CC BY")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest.startswith(str(provenance["weights_sha256"]))
    images = pair(24, 40)
    got, _ = run(model.between(*images))
    want, _ = run(wrap(stirred_network).between(*images))
    np.testing.assert_allclose(got, want, atol=1e-6)
    path.write_text("text")
    with pytest.raises(TsainError, match="no safetensors file"):
        open_model(str(path))
    with pytest.raises(TsainError, match="No model file at"):
        open_model(tmp_path)


def test_unknown_models_and_devices() -> None:
    with pytest.raises(TsainError, match="no model 'nonsense'; choose one of"):
        open_model("nonsense")
    with pytest.raises(TsainError, match="choose auto, cpu, cuda or mps"):
        choose_device("nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(TsainError, match="'cuda' cannot be used"):
            choose_device("cuda")


def test_bfloat16_on_request(stirred_network: TSAIN) -> None:
    images = pair(64, 64)
    exact, _ = run(wrap(stirred_network).between(*images))
    rough, _ = run(wrap(stirred_network, precision="bf16").between(*images))
    difference = np.abs(exact - rough).max()
    assert 0 < difference < 0.02


def test_models_declare_what_engines_need(stirred_network: TSAIN) -> None:
    model = wrap(stirred_network, tile=64, halo=8, ensemble=2)
    assert model.tiled is model
    assert (model.multiple, model.pointwise) == (stirred_network.settings.multiple, False)
    assert model.device.type == "cpu" and model.execution.startswith("cpu, ")
    assert model.pass_bytes(256, 256) > 3 * model.pass_bytes(128, 128) > 0
    one = wrap(stirred_network).feature_bytes(10_000)
    assert model.feature_bytes(10_000) == 2 * one > 10_000
    for name in BASELINES:
        baseline = open_model(name)
        assert (baseline.tiled, baseline.execution) == (None, "cpu")
        assert baseline.pointwise == (name == "mean")
        with pytest.raises(TsainError, match="no network"):
            open_network(name)
    assert open_network("tsain-lite").name == "tsain-lite"
