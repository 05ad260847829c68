"""Servers that are down, hosts that nobody knows: each command says so in one true line."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tsain_core.cli import main

pytest.importorskip("aiohttp", reason="aiohttp, which opens http:// URLs, is not installed")

_UNKNOWN = "http://no-such-host.invalid/stack.zarr"
_COMMANDS = (
    ["info", "URL"],
    ["plan", "URL"],
    ["interpolate", "URL", "OUT/a.tif"],
    ["interpolate", "URL", "OUT/a.zarr", "--model", "mean"],
    ["interpolate", "URL", "OUT/a.zarr", "--dry-run"],
    ["evaluate", "URL"],
    ["finetune", "URL", "--output", "OUT/a.safetensors"],
    ["demo", "--input", "URL", "--output", "OUT/report"],
)


@pytest.fixture(scope="module")
def dead() -> str:
    """URL of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}/stack.zarr"


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, "--quiet"]) == 1
    found = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(found) == 1 and found[0].startswith("tsain: "), found
    return found[0]


@pytest.mark.parametrize("command", _COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_inputs(
    command: list[str], dead: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in (dead, _UNKNOWN):
        words = [word.replace("URL", url).replace("OUT", str(tmp_path)) for word in command]
        line = refusal(words, capsys)
        assert "cannot be reached: check address and network" in line
        assert "copy it again" not in line
    assert not list(tmp_path.iterdir())


def test_outputs(dead: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (3, 32, 32), np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    words = ["interpolate", str(tmp_path / "s.tif"), dead, "--model", "mean"]
    assert "cannot be reached" in refusal(words, capsys)


def test_a_bucket_whose_server_is_down(
    dead: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"), ("MAX_ATTEMPTS", "1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", dead.rpartition("/")[0])
    s3fs.S3FileSystem.clear_instance_cache()
    line = refusal(["info", "s3://bucket/stack.zarr"], capsys)
    assert "cannot be reached: check address and network" in line
    s3fs.S3FileSystem.clear_instance_cache()
