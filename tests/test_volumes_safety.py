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


def test_partials_of_living_processes_are_left_alone(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_SLOWLY, str(tmp_path / "v.zarr")], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
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


def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((TsainError, NotADirectoryError, FileExistsError)):
        create_volume(tmp_path / "file" / "v.tif", (2, 8, 8), "uint8")
