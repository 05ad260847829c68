"""The ways that CONTRIBUTING.md tells: each station exists, and a run passes them in order."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import tifffile

from support import REPOSITORY, TESTS
from tsain_core.cli import main
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN


def _stations(title: str) -> list[str]:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    part = text.split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. `([\w.]+)`", part, re.MULTILINE)


def _find(name: str) -> Any:
    """The object of a dotted name."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{name} is not there")


@pytest.mark.parametrize("title", ["The way of a slice", "The way of a click"])
def test_each_station_is_a_function(title: str) -> None:
    stations = _stations(title)
    assert 5 <= len(stations) <= 10
    for name in stations:
        assert hasattr(_find(name), "__code__"), name


def test_a_slice_passes_the_stations_in_order(tmp_path: Path, stirred_network: TSAIN) -> None:
    model, source = tmp_path / "model.safetensors", tmp_path / "stack.tif"
    save(model, stirred_network, ModelInfo("m", stirred_network.settings, licence="none"))
    stack = np.random.default_rng(0).integers(0, 255, (3, 32, 32), np.uint8)
    tifffile.imwrite(source, stack, photometric="minisblack")
    stations = {_find(name).__code__: name for name in _stations("The way of a slice")}
    passed: list[str] = []

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        name = stations.get(frame.f_code) if event == "call" else None
        if name is not None and name not in passed:
            passed.append(name)

    words = ["interpolate", str(source), str(tmp_path / "out.zarr"), "--model", str(model)]
    sys.setprofile(watch)
    try:
        assert main([*words, "--device", "cpu"]) == 0
    finally:
        sys.setprofile(None)
    writer = "tsain_core.blockwise.block_worker._Writer.add"  # takes the first real slice at once
    assert writer in passed
    in_order = [name for name in stations.values() if name != writer]
    assert [name for name in passed if name != writer] == in_order


def test_folders_of_the_layout_are_there() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("## Layout\n")[1].split("\n## ")[0]
    for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE):
        names = re.findall(r"`([^`]+)`", row)
        parent = Path(names[0]).parent
        for name in names:
            assert (REPOSITORY / name).exists() or (REPOSITORY / parent / name).exists(), name


def test_tests_lie_in_folders_named_after_packages() -> None:
    folders = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    core = REPOSITORY / "tsain_core"
    assert {name for name in folders if not (core / name).is_dir()} == {"plugin", "repository"}


def test_test_files_that_are_named_exist() -> None:
    named = {
        (path.relative_to(REPOSITORY).as_posix(), name)
        for pattern in ("*.md", "docs/*.md", "scripts/*", "benchmarks/*.py", "tests/**/*.py")
        for path in REPOSITORY.glob(pattern)
        if path.is_file()
        for name in re.findall(r"\btests/[\w/]+\.py\b", path.read_text(encoding="utf-8"))
    }
    assert named
    assert {(path, name) for path, name in named if not (REPOSITORY / name).exists()} == set()
