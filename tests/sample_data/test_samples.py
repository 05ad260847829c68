"""Downloads from a local server: complete and right, or an error that says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.sample_server import STACK, Server
from tsain_core.errors import TsainError
from tsain_core.sample_data import SAMPLES, fetch_sample, sample_files
from tsain_core.sample_data.samples import SampleFile
from tsain_core.volumes import open_volume


def test_a_sample_is_a_volume(tmp_path: Path, server: Server) -> None:
    seen: list[tuple[int, int]] = []
    folder = fetch_sample(
        "fib25", tmp_path, files=server.files(), progress=lambda *p: seen.append(p)
    )
    volume = open_volume(folder)
    np.testing.assert_array_equal(volume.data.compute(), STACK)
    assert volume.voxel_size == SAMPLES["fib25"].voxel_size
    assert volume.unit == "nanometer"
    assert json.loads((folder / "sample.json").read_text())["licence"] == "CC BY"
    total = sum(len(d) for d in server.content.values())
    assert seen[-1] == (total, total)
    assert [s[0] for s in seen] == sorted(s[0] for s in seen)
    fetch_sample("fib25", tmp_path, files=server.files())
    assert len(server.requests) == 3, "complete slices are not requested again"


def test_wrong_hash(tmp_path: Path, server: Server) -> None:
    files = server.files()
    server.content["iso.00001.png"] += b"changed"
    with pytest.raises(TsainError, match=r"iso\.00001\.png.*SHA-256 differs") as caught:
        fetch_sample("fib25", tmp_path, files=files)
    assert "\n" not in str(caught.value)
    assert [p.name for p in (tmp_path / "fib25").iterdir()] == ["iso.00000.png"]


def test_broken_off_download_goes_on_later(tmp_path: Path, server: Server) -> None:
    server.broken = {"iso.00002.png"}
    with pytest.raises(TsainError, match=r"iso\.00002\.png could not be downloaded.*try again"):
        fetch_sample("fib25", tmp_path, files=server.files())
    assert not (tmp_path / "fib25" / "iso.00002.png").exists()
    server.broken = set()
    server.requests.clear()
    folder = fetch_sample("fib25", tmp_path, files=server.files())
    assert server.requests == ["iso.00002.png"]
    np.testing.assert_array_equal(open_volume(folder).data.compute(), STACK)


def test_damaged_file_is_fetched_again(tmp_path: Path, server: Server) -> None:
    folder = fetch_sample("fib25", tmp_path, files=server.files())
    (folder / "iso.00001.png").write_bytes(b"damaged")
    fetch_sample("fib25", tmp_path, files=server.files())
    np.testing.assert_array_equal(open_volume(folder).data.compute(), STACK)


def test_missing_and_unreachable(tmp_path: Path, server: Server) -> None:
    files = server.files()
    del server.content["iso.00000.png"]
    with pytest.raises(TsainError, match="refused.*404"):
        fetch_sample("fib25", tmp_path, files=files)
    nobody = [SampleFile("http://127.0.0.1:9/a.png", "0" * 64, 1)]
    with pytest.raises(TsainError, match="expected a connection"):
        fetch_sample("fib25", tmp_path, files=nobody)


def test_stopping_from_progress(tmp_path: Path, server: Server) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_sample("fib25", tmp_path, files=server.files(), progress=stop)
    assert server.requests == ["iso.00000.png"]


@pytest.mark.parametrize(
    ("name", "count", "first"), [("fib25", 48, "iso.03490.png"), ("vnc1", 20, "00.tif")]
)
def test_table(name: str, count: int, first: str) -> None:
    files = sample_files(name)
    assert len(files) == count
    assert files[0].name == first
    assert [f.name for f in files] == sorted(f.name for f in files)
    assert all(len(f.sha256) == 64 and f.url.startswith("https://") for f in files)
