"""Downloads from a local server: complete and right, or an error that says so."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from tsain_core.errors import TsainError
from tsain_core.sample_data import SAMPLES, fetch_sample, sample_files
from tsain_core.sample_data.samples import SampleFile
from tsain_core.volumes import open_volume

STACK = np.random.default_rng(0).integers(0, 255, (3, 16, 16), np.uint8)


@dataclass
class Server:
    """Serves slices; `broken` ones stop half-way, `requests` is what was requested.

    Each answer takes `delay` seconds.
    """

    address: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    delay: float = 0.0

    def files(self) -> list[SampleFile]:
        return [
            SampleFile(f"{self.address}/{name}", hashlib.sha256(data).hexdigest(), len(data))
            for name, data in self.content.items()
        ]


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    for z, image in enumerate(STACK):
        buffer = io.BytesIO()
        iio.imwrite(buffer, image, extension=".png")
        state.content[f"iso.{z:05}.png"] = buffer.getvalue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            state.requests.append(name)
            time.sleep(state.delay)
            if name not in state.content:
                self.send_error(404)
                return
            data = state.content[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if name in state.broken else data)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


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
