"""A server of slices on this machine, from which samples are downloaded."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import imageio.v3 as iio
import numpy as np
import pytest

from tsain_core.sample_data.samples import SampleFile

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
