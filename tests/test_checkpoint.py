"""Model files: what goes in comes out, and what is not understood is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tsain_core.checkpoint import ModelInfo, load, read_info, save
from tsain_core.errors import TsainError
from tsain_core.network import TSAIN, NetworkSettings

SMALL = NetworkSettings(channels=8, feature_blocks=1, reconstruction_blocks=1, groups=2)
INFO = ModelInfo(
    "mine",
    SMALL,
    preset=None,
    licence="CC BY",
    intensity_percentiles=(1.0, 99.0),
    training={"steps": 7, "volumes": [{"file": "a.tif"}]},
    scores={"stack": {"psnr": 15.5}},
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "mine.safetensors"
    save(path, TSAIN(SMALL), INFO)
    return path


@pytest.mark.parametrize("half", [False, True])
def test_round_trip(tmp_path: Path, half: bool) -> None:
    network = TSAIN(SMALL)
    path = tmp_path / "sub" / "m.safetensors"
    save(path, network, INFO, half=half)
    again, info = load(path)
    assert not again.training
    for (name, a), b in zip(network.state_dict().items(), again.state_dict().values(), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(b, a.half().float() if half else a, rtol=0, atol=0, msg=name)
    assert info.weights_hash
    assert info == ModelInfo(**{**INFO.__dict__, "weights_hash": info.weights_hash})
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]


def test_the_hash_tells_weights_apart(model: Path) -> None:
    first = read_info(model).weights_hash
    save(model, TSAIN(SMALL), INFO)
    assert read_info(model).weights_hash != first


def rewrite(
    path: Path, header: dict | None = None, drop: str | None = None, **tensors: torch.Tensor
) -> None:
    """Change a model file behind the library's back."""
    values = asdict(INFO) | {"version": 1} | (header or {})
    del values["weights_hash"]
    content = load_file(path) | tensors
    if drop:
        del content[drop]
    save_file(content, path, metadata={"tsain": json.dumps(values)})


NAME = "encoder.first.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"header": {"version": 2}}, "format 2.*update"),
        ({"header": {"settings": {"channels": 8, "wings": 2}}}, "cannot be understood"),
        ({"header": {"settings": {**SMALL.__dict__, "drbs": 1}}}, "do not fit its settings"),
        ({"header": {"settings": {**SMALL.__dict__, "channels": 8.5}}}, "cannot be understood"),
        ({"header": {"settings": {**SMALL.__dict__, "channels": -8}}}, "cannot be understood"),
        ({"header": {"settings": {**SMALL.__dict__, "channels": 10**6}}}, "do not fit"),
        ({"header": {"settings": None}}, "cannot be understood"),
        ({"header": {"intensity_percentiles": 5}}, "cannot be understood"),
        ({"header": {"intensity_percentiles": [1, 2, 3]}}, "cannot be understood"),
        ({"header": {"intensity_range": ["black", 255]}}, "cannot be understood"),
        ({"drop": NAME}, f"1 tensors .* first {NAME}"),
        ({NAME: torch.full((8, 3, 3, 3), torch.nan)}, "non-finite"),
        ({NAME: torch.zeros(8, 3, 3, 1)}, "do not fit"),
    ],
)
def test_changed_files_are_refused(model: Path, change: dict, message: str) -> None:
    rewrite(model, **change)
    with pytest.raises(TsainError, match=message):
        load(model)


@pytest.mark.parametrize("header", ["5", "null", '"text"', "[]", "{", "{}"])
def test_headers_that_are_no_settings(tmp_path: Path, header: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata={"tsain": header})
    with pytest.raises(TsainError, match="cannot be understood") as caught:
        read_info(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


def test_a_loaded_network_computes_and_learns(model: Path) -> None:
    """Nothing of it is left without memory, frozen, or a mapping of the file."""
    network, _ = load(model)
    image = torch.rand(1, 1, 8, 8)
    before = network(image, image)
    model.write_bytes(bytes(model.stat().st_size))
    after = network(image, image)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    after.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_other_files_are_refused(tmp_path: Path, model: Path) -> None:
    with pytest.raises(TsainError, match="No model file at"):
        load(tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(TsainError, match="holds tensors but no TSAIN settings"):
        load(other)
    other.write_text("text")
    with pytest.raises(TsainError, match="no safetensors file"):
        load(other)
    with pytest.raises(TsainError, match="No model file at"):
        load(tmp_path)
    other.write_bytes(b"")
    with pytest.raises(TsainError, match="no safetensors file"):
        load(other)
    other.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(TsainError, match="no safetensors file"):
        load(other)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(TsainError):
        load(path)
    assert not (tmp_path / "exploded").exists()


def test_nothing_half_written(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = model.read_bytes()

    def fail(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tsain_core.checkpoint.os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        save(model, TSAIN(SMALL), INFO)
    assert model.read_bytes() == before
    assert [p.name for p in model.parent.iterdir()] == [model.name]


def test_others_may_read_the_file(model: Path) -> None:
    plain = model.with_name("plain")
    plain.write_text("")
    assert model.stat().st_mode == plain.stat().st_mode
