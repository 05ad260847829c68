"""Volumes behind URLs: an S3-compatible server on this machine, plain HTTP, and what goes wrong."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from support.blockwise import finish, in_memory, serve, stop_after, wait_for
from tsain_core.blockwise import InterpolationRequest, RunStarted, interpolate_blockwise
from tsain_core.errors import TsainError
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.volumes import open_volume
from tsain_core.volumes.zarr_layout import ZarrLayout


class SlowProxy:
    """Stands between a client and the server: passes bytes on, late, or cuts connections.

    Attributes
    ----------
    delay : float
        Seconds that each answer is held back.
    cut : int
        Connections that are closed at once, from now on.
    """

    def __init__(self, port: int) -> None:
        self._target, self.delay, self.cut, self.seen = port, 0.0, 0, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.seen += 1
            if self.cut > 0:
                self.cut -= 1
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            for a, b, late in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(a, b, late), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, late: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                time.sleep(self.delay if late else 0)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            end.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def s3() -> Iterator[SlowProxy]:
    """An S3-compatible server with a bucket "em-data", behind a proxy; the environment names it."""
    pytest.importorskip("moto.server", reason="moto, which plays the S3 server, is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = serve("-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    wait_for(lambda: _answers(port), "the S3 server", 60)
    proxy = SlowProxy(port)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        s3fs.S3FileSystem().mkdir("em-data")
        yield proxy
        s3fs.S3FileSystem.clear_instance_cache()
    proxy.close()
    server.kill()
    server.communicate()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def source(s3: SlowProxy) -> str:
    """A stack in the bucket."""
    url = "s3://em-data/stack.zarr"
    data = em_phantom((6, 96, 96), seed=4)
    array = zarr.create_array(url, shape=data.shape, chunks=(2, 48, 48), dtype=data.dtype)
    array[:] = data
    return url


def request_for(source: str, output: str) -> InterpolationRequest:
    layout = ZarrLayout("0.5", (1, 48, 48), shards=(2, 96, 96))
    return InterpolationRequest(source, output, model="mean", layout=layout)


def test_from_bucket_to_bucket(source: str) -> None:
    spec = request_for(source, "s3://em-data/whole.zarr")
    plan, _ = finish(spec)
    result = open_volume(spec.output)
    np.testing.assert_array_equal(result.data.compute(), in_memory(spec, plan))
    assert result.synthetic == (1, 3, 5, 7, 9)
    with pytest.raises(TsainError, match="exists"):
        finish(spec)


def test_unfinished_is_no_image_and_goes_on(source: str) -> None:
    spec = request_for(source, "s3://em-data/stopped.zarr")
    stop_after(spec, 2)
    with pytest.raises(TsainError, match="cannot be read as Zarr"):
        open_volume(spec.output)
    begun, *_ = interpolate_blockwise(spec)
    assert isinstance(begun, RunStarted) and begun.done == 2
    assert open_volume(spec.output).synthetic == (1, 3, 5, 7, 9)
    import s3fs

    s3fs.S3FileSystem().invalidate_cache()
    assert not [p for p in s3fs.S3FileSystem().find("em-data/stopped.zarr") if ".tsain-run" in p]


def test_slow_answers_and_cut_connections(source: str, s3: SlowProxy) -> None:
    """Both cost time only: the client asks again."""
    spec = request_for(source, "s3://em-data/slow.zarr")
    events = interpolate_blockwise(spec)
    plan = next(e.plan for e in events if isinstance(e, RunStarted))
    s3.delay, s3.cut = 0.05, 3
    try:
        for _ in events:
            pass
    finally:
        s3.delay, s3.cut = 0.0, 0
    np.testing.assert_array_equal(open_volume(spec.output).data.compute(), in_memory(spec, plan))


def test_server_that_is_gone_fails_and_goes_on_later(
    source: str, s3: SlowProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No block is claimed that is not there; when the server is back, the same run goes on."""
    import s3fs

    spec = request_for(source, "s3://em-data/gone.zarr")
    stop_after(spec, 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # else boto waits for half a minute
    s3fs.S3FileSystem.clear_instance_cache()
    s3.cut = 10**6
    try:
        with pytest.raises(TsainError, match="cannot be reached"):
            finish(spec)
    finally:
        s3.cut = 0
    plan, _ = finish(spec)
    np.testing.assert_array_equal(open_volume(spec.output).data.compute(), in_memory(spec, plan))


def test_plain_http_is_read(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp, which fsspec needs for HTTP, is not installed")
    data = em_phantom((5, 96, 96), seed=4)
    spec = InterpolationRequest("", str(tmp_path / "served.zarr"), model="mean")
    import tifffile

    tifffile.imwrite(tmp_path / "stack.tif", data)
    finish(InterpolationRequest(str(tmp_path / "stack.tif"), spec.output, model="mean"))
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        volume = open_volume(f"http://127.0.0.1:{server.server_port}/served.zarr")
        assert volume.synthetic == (1, 3, 5, 7)
        np.testing.assert_array_equal(volume.data[::2].compute(), data)
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def test_unknown_protocols_say_what_to_do() -> None:
    with pytest.raises(TsainError, match="nothing://x cannot be opened"):
        open_volume("nothing://x")
