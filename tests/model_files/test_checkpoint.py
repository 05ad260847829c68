"""Model files: what goes in comes out, and what is not understood is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tsain_core.errors import TsainError
from tsain_core.model_files.checkpoint import ModelInfo, load, read_info, save
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
        ({"header": {"settings": {**SMALL.__dict__, "channels": 10**6}}}, "channels is 1000000"),
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

    monkeypatch.setattr("tsain_core.system.atomic.os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        save(model, TSAIN(SMALL), INFO)
    assert model.read_bytes() == before
    assert [p.name for p in model.parent.iterdir()] == [model.name]


def test_others_may_read_the_file(model: Path) -> None:
    plain = model.with_name("plain")
    plain.write_text("")
    assert model.stat().st_mode == plain.stat().st_mode


def _file(path: Path, network: TSAIN, **changes: object) -> Path:
    """A model file whose header says something else."""
    from dataclasses import asdict

    from safetensors.torch import save_file

    header = {**asdict(ModelInfo("m", network.settings)), "version": 1, **changes}
    del header["weights_hash"]
    tensors = {k: v.contiguous() for k, v in network.state_dict().items()}
    save_file(tensors, path, metadata={"tsain": json.dumps(header)})
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"reconstruction_blocks": 10**9}},
        {"settings": {"rsabs": 5000}},
        {"settings": {"feature_blocks": 3000, "drbs": 3000}},
        {"settings": {"channels": -8}},
        {"settings": {"channels": 8.0}},
        {"settings": {"groups": 3}},
        {"settings": {"groups": 0}},
        {"settings": {"unshuffle": 10**12}},
        {"settings": {"residual": "yes"}},
        {"settings": {"channels": None}},
        {"intensity_percentiles": [5, 5]},
        {"intensity_percentiles": [99.9, 0.1]},
        {"intensity_percentiles": [-1, 101]},
        {"intensity_percentiles": [float("nan"), 99]},
        {"intensity_percentiles": "ab"},
        {"intensity_percentiles": [1, 2, 3]},
        {"intensity_percentiles": 7},
        {"name": 7},
        {"name": ""},
        {"name": "x" * 10**6},
        {"licence": ["a"]},
        {"preset": 3},
        {"training": "much"},
        {"scores": [1]},
        {"scores": {"stack": 3}},
        {"scores": {"stack": {"psnr": "high"}}},
    ],
)
def test_headers_that_make_no_sense(
    tmp_path: Path,
    stirred_network: TSAIN,
    changes: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line, at once; and `tsain models` goes on without the file."""
    from dataclasses import asdict

    from tsain_core.cli import main

    monkeypatch.setenv("TSAIN_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    if isinstance(settings := changes.get("settings"), dict):
        changes = {"settings": {**asdict(stirred_network.settings), **settings}}
    path = _file(tmp_path / "models" / "bad.safetensors", stirred_network, **changes)
    with pytest.raises(TsainError, match="cannot be understood") as caught:
        load(path)
    assert len(str(caught.value)) < 400
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "tsain-lite" in out and "bad  (" not in out


def test_texts_of_a_model_cannot_steer_the_terminal(
    tmp_path: Path,
    stirred_network: TSAIN,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tsain_core.cli import main

    monkeypatch.setenv("TSAIN_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    evil = "\x1b]0;owned\x07\r\nlicence   free"
    path = _file(
        tmp_path / "models" / "m\x1b[2J.safetensors",
        stirred_network,
        name=evil,
        licence=evil,
        training={"volumes": [{"file": evil}, evil, {"other": 1}]},
        scores={evil: {evil: 1.0}},
    )
    assert read_info(path).name.isprintable()
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in out)
    assert not any(line.startswith("licence") for line in out.splitlines())


@pytest.mark.parametrize("kind", ["pipe", "folder", "empty", "noise", "deep", "link"])
def test_files_in_the_users_folder_that_are_no_models(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import os

    from safetensors.torch import save_file

    from tsain_core.cli import main

    monkeypatch.setenv("TSAIN_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "bad.safetensors"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "deep":
        save_file({"a": torch.zeros(1)}, path, metadata={"tsain": "[" * 100_000})
    else:
        path.write_bytes(b"" if kind == "empty" else bytes(range(256)) * 10)
    assert main(["models"]) == 0
    assert "tsain-lite" in capsys.readouterr().out
    with pytest.raises(TsainError):
        load(path)


@pytest.mark.parametrize("name", ["x" * 5000, "a\x00b", "no\nsuch"])
def test_names_that_no_model_has(name: str) -> None:
    from tsain_core.inference.models import open_model

    with pytest.raises(TsainError, match="There is no model"):
        open_model(name)
