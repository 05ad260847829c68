"""Killed processes and full disks leave nothing half-written under the final name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tsain_core.errors import TsainError
from tsain_core.volumes import create_volume, open_volume

NAMES = ("v.tif", "v.h5", "v.zarr")
WRITE_SLOWLY = """
import sys, time
import numpy as np
from tsain_core.volumes import create_volume
image = np.zeros((64, 64), "uint8")
with create_volume(sys.argv[1], (100, 64, 64), "uint8", overwrite=True) as writer:
    for z in range(100):
        writer.write(z, image)
        print(z, flush=True)
        time.sleep(0.1)
"""


def write(path: Path, data: np.ndarray, **options: bool) -> None:
    with create_volume(path, data.shape, data.dtype, **options) as writer:
        for z, image in enumerate(data):
            writer.write(z, image)


@pytest.mark.parametrize("name", NAMES)
def test_kill_9(tmp_path: Path, name: str) -> None:
    """The old result stays, the remains are hidden, and the next writer clears them away."""
    path = tmp_path / name
    old = np.full((3, 16, 16), 7, np.uint8)
    write(path, old)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_SLOWLY, str(path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    np.testing.assert_array_equal(open_volume(path).data.compute(), old)
    left = [p.name for p in tmp_path.iterdir() if p.name != name]
    assert left
    assert all(n.startswith(".") for n in left)
    write(path, old + 1, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_SLOWLY, str(tmp_path / "v.zarr")], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(TsainError, match=f"written already, by process {process.pid}"):
        write(tmp_path / "v.zarr", np.zeros((2, 8, 8), np.uint8))
    assert any(str(process.pid) in p.name for p in tmp_path.iterdir())
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("Mounting a small tmpfs needs root")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("This machine does not allow mounting a tmpfs")
    yield folder
    for _ in range(20):
        if subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0:
            break
        time.sleep(0.1)


@pytest.mark.parametrize("name", NAMES)
def test_full_disk(small_disk: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 256, 256), np.uint8)
    with pytest.raises(TsainError, match="disk is full.*free some"):
        write(small_disk / name, noise)
    assert list(small_disk.iterdir()) == []


WRITE_TOO_MUCH = """
import resource, signal, sys
import numpy as np
from tsain_core.errors import TsainError
from tsain_core.volumes import create_volume
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
noise = np.random.default_rng(0).integers(0, 255, (20, 512, 512), np.uint8)
try:
    with create_volume(sys.argv[1], noise.shape, noise.dtype) as writer:
        for z, image in enumerate(noise):
            writer.write(z, image)
except TsainError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("limit", [10, 100_000])
def test_file_size_limit(tmp_path: Path, name: str, limit: int) -> None:
    """As a quota: there is room on the disk, and the write fails. The process must live."""
    process = subprocess.run(
        [sys.executable, "-c", WRITE_TOO_MUCH, str(tmp_path / name), str(limit)],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert "File too large" in process.stdout
    assert "free some" in process.stdout
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TsainError, match="cannot be written"):
        create_volume(tmp_path / "file" / "v.tif", (2, 8, 8), "uint8")


@pytest.mark.parametrize("name", NAMES)
def test_provenance_that_is_not_json(tmp_path: Path, name: str) -> None:
    with pytest.raises(TypeError, match="JSON"):
        create_volume(tmp_path / name, (2, 8, 8), "uint8", provenance={"a": {1, 2}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_thousands_of_marks(tmp_path: Path, name: str) -> None:
    """More than the 64 KiB that some formats allow for an attribute."""
    synthetic = tuple(range(1, 4001, 2))
    data = np.zeros((4001, 2, 2), np.uint8)
    with create_volume(tmp_path / name, data.shape, data.dtype, synthetic=synthetic) as writer:
        for z, image in enumerate(data):
            writer.write(z, image)
    assert open_volume(tmp_path / name).synthetic == synthetic
