"""`tsain train --start`: from the weights of a model file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from tsain_core.cli import main
from tsain_core.model_files.checkpoint import ModelInfo, load, save
from tsain_core.network import PRESETS, TSAIN, NetworkSettings

#: A step so small that the weights stay what they were.
RECIPE = """
name = "mine"
preset = "tsain-lite"
licence = "none"
held_out = 0.3
[training]
steps = 1
batch = 1
crop = 32
lr = 1e-12
warmup = 1
[[volume]]
path = "a.tif"
licence = "none"
"""


def started(tmp_path: Path, settings: NetworkSettings) -> tuple[int, TSAIN]:
    """(exit code, the network that the run started from), whose run is in `run`."""
    data = np.random.default_rng(0).integers(0, 255, (8, 48, 48), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data)
    (tmp_path / "r.toml").write_text(RECIPE)
    torch.manual_seed(7)
    network = TSAIN(settings)
    save(tmp_path / "start.safetensors", network, ModelInfo("start", settings, licence="none"))
    words = [str(tmp_path / "r.toml"), "--data", str(tmp_path), "--output", str(tmp_path / "run")]
    words += ["--start", str(tmp_path / "start.safetensors"), "--device", "cpu"]
    return main(["train", *words]), network


def test_it_starts_from_the_weights(tmp_path: Path) -> None:
    code, start = started(tmp_path, PRESETS["tsain-lite"])
    assert code == 0
    made, info = load(tmp_path / "run" / "mine.safetensors")
    assert info.training["steps"] == 1
    torch.testing.assert_close(made.state_dict(), start.state_dict(), atol=1e-6, rtol=0)


def test_another_structure_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unlike = replace(PRESETS["tsain-lite"], channels=64, rsabs=1)
    assert started(tmp_path, unlike)[0] == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "start.safetensors is no tsain-lite" in line and "fewer channels" in line
    assert not list((tmp_path / "run").glob("*"))
