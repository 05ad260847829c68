"""Training in several processes that torchrun started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from support import REPOSITORY
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.model_files.checkpoint import load
from tsain_core.training.distributed import ALONE, Ranks

RECIPE = """
name = "mine"
preset = "tsain-lite"
licence = "none"
held_out = 0.3
[training]
steps = 4
batch = 2
crop = 32
validate_every = 2
save_every = 2
warmup = 1
[[volume]]
path = "a.tif"
licence = "none"
"""


def test_a_batch_is_shared_evenly() -> None:
    batch = torch.arange(6)
    shares = [Ranks(rank, 3).share(batch) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == batch.tolist()
    assert ALONE.share(batch) is not None and len(ALONE.share(batch)) == 6
    with pytest.raises(TsainError, match="multiple"):
        Ranks(0, 4).share(batch)


def test_two_processes_learn_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batches, gradients averaged: the same weights but for rounding; one writes files."""
    data = np.random.default_rng(0).integers(0, 255, (12, 72, 72), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data)
    (tmp_path / "r.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    words = ["train", "r.toml", "--device", "cpu", "--output"]
    assert main([*words, "one"]) == 0
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, "tsain_core.cli", *words, "two"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    weights = []
    for name in ("one", "two"):
        network, info = load(tmp_path / name / "mine.safetensors")
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
        assert info.training["steps"] == 4
        log = (tmp_path / name / "log.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in log] == ["step", "2", "4"]
    assert torch.allclose(*weights, atol=2e-5)
