"""Who makes a result: one process, found out in one step, taken over when it is dead."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from support import REPOSITORY
from support.blockwise import finish, stop_after
from tsain_core.blockwise import InterpolationRequest, interpolate_blockwise
from tsain_core.blockwise.run_store import staging
from tsain_core.errors import TsainError
from tsain_core.system.processes import host_name
from tsain_core.volumes import _lock, create_volume, open_volume
from tsain_core.volumes._lock import OutputLock, Owner
from tsain_core.volumes._publish import to_disk

NAMES = ("v.tif", "v.h5", "v.zarr")


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def lock_file(output: Path) -> Path:
    return output.with_name(f".{output.name}.lock")


def held_by(output: Path, owner: Owner, age: float = 0.0) -> None:
    path = lock_file(output)
    path.write_text(json.dumps(asdict(owner)))
    os.utime(path, (time.time() - age, time.time() - age))


def dead() -> Owner:
    process = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(process.pid).create_time()
    process.wait()
    return Owner(host_name(), process.pid, started, "dead0001")


def test_one_of_many_threads_gets_it(tmp_path: Path) -> None:
    """Also where all of them find a dead owner's lock."""
    owner = dead()
    for name in ("free", "dead"):
        output = tmp_path / name
        if name == "dead":
            held_by(output, owner)
        start, got = threading.Barrier(8), []

        def take(output: Path = output, start: Any = start, got: list[Any] = got) -> None:
            lock = OutputLock(output)
            start.wait()
            try:
                got.append(lock.take())
            except TsainError:
                got.append(None)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = (lock for lock in got if lock is not None)
        assert [p.name for p in tmp_path.iterdir()] == [f".{name}.lock"]
        winner.check()
        winner.release()
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_living_process_is_named(tmp_path: Path, name: str, sleeper: psutil.Process) -> None:
    held_by(tmp_path / name, Owner(host_name(), sleeper.pid, sleeper.create_time(), "alive001"))
    with pytest.raises(TsainError, match=f"written already, by process {sleeper.pid} on"):
        create_volume(tmp_path / name, (2, 8, 8), "uint8", overwrite=True)
    sleeper.kill()
    sleeper.wait()
    with create_volume(tmp_path / name, (2, 8, 8), "uint8") as writer:
        for z in range(2):
            writer.write(z, np.zeros((8, 8), np.uint8))
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_number_used_again_is_not_the_owner(tmp_path: Path, sleeper: psutil.Process) -> None:
    held_by(tmp_path / "v", Owner(host_name(), sleeper.pid, 1.0, "old00001"), age=60)
    OutputLock(tmp_path / "v").take().release()


@pytest.mark.parametrize("age, alive", [(5.0, True), (1000.0, False)])
def test_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, alive: bool
) -> None:
    monkeypatch.setattr("tsain_core.volumes._lock._BEAT", 0.05)
    held_by(tmp_path / "v", Owner("elsewhere", os.getpid(), 1.0, "far00001"), age=age)
    if alive:
        with pytest.raises(TsainError, match="on elsewhere"):
            OutputLock(tmp_path / "v").take()
    else:
        OutputLock(tmp_path / "v").take().release()


def test_another_machine_whose_clock_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It seems silent for an hour, and still gives signs of life."""
    monkeypatch.setattr("tsain_core.volumes._lock._BEAT", 0.2)
    held_by(tmp_path / "v", Owner("elsewhere", 7, 1.0, "far00001"), age=3600)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.05):
            then = time.time() - 3600
            os.utime(lock_file(tmp_path / "v"), (then, then))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(TsainError, match="on elsewhere"):
            OutputLock(tmp_path / "v").take()
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"token": "../../x"}', "\x00"])
def test_damaged_locks(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lock_file(tmp_path / "v")
    path.write_text(text)
    monkeypatch.setattr(_lock, "_WRITING", 1.0)
    began = time.monotonic()
    OutputLock(tmp_path / "v").take().release()  # its maker may just be writing it, so wait a while
    assert time.monotonic() - began > 0.8
    assert not list(tmp_path.iterdir())


def test_a_lock_that_is_just_being_written(tmp_path: Path) -> None:
    """Its file is there before its content: whoever finds it empty waits for the content."""
    whole = OutputLock(tmp_path / "v").take()
    path = lock_file(tmp_path / "v")
    content = path.read_bytes()
    path.write_bytes(b"")
    writer = threading.Timer(0.3, lambda: path.write_bytes(content))
    writer.start()
    with pytest.raises(TsainError, match="written already"):
        OutputLock(tmp_path / "v").take()
    writer.join()
    whole.release()
    assert not list(tmp_path.iterdir())


def test_one_who_dies_while_taking_over(tmp_path: Path) -> None:
    owner = dead()
    held_by(tmp_path / "v", owner)
    claim = tmp_path / f".v.lock.{owner.token}"
    claim.write_text(json.dumps(asdict(owner) | {"token": "dead0002"}))
    OutputLock(tmp_path / "v").take().release()
    assert not list(tmp_path.iterdir())


def test_a_lost_lock_publishes_nothing(tmp_path: Path, sleeper: psutil.Process) -> None:
    output = tmp_path / "v.zarr"
    writer = create_volume(output, (1, 8, 8), "uint8")
    held_by(output, Owner(host_name(), sleeper.pid, sleeper.create_time(), "other001"))
    with pytest.raises(TsainError, match="was taken over by process"), writer:
        writer.write(0, np.zeros((8, 8), np.uint8))
    assert [p.name for p in tmp_path.iterdir()] == [".v.zarr.lock"]  # the other one's


def test_blockwise_and_other_writers_share_one_lock(spec: InterpolationRequest) -> None:
    events = interpolate_blockwise(spec)
    next(events)
    with pytest.raises(TsainError, match="written already"):
        finish(spec)
    with pytest.raises(TsainError, match="written already"):
        finish(spec, restart=True)
    with pytest.raises(TsainError, match="written already"):
        create_volume(spec.output, (2, 8, 8), "uint8")
    events.close()
    finish(spec)
    folder = Path(spec.output).parent
    assert [p.name for p in folder.iterdir() if "out" in p.name] == ["out.zarr"]


def test_a_source_folder_is_not_touched(tmp_path: Path) -> None:
    source = tmp_path / "slices"
    source.mkdir()
    before = source.stat().st_mtime_ns
    with pytest.raises(TsainError, match="inside the source"):
        create_volume(source / "v.tif", (2, 8, 8), "uint8", source=str(source))
    assert source.stat().st_mtime_ns == before


@pytest.mark.usefixtures("shallow_blocks")
@pytest.mark.parametrize("level", [0, 1])
def test_files_that_vanish_are_noticed_and_made_again(
    spec: InterpolationRequest, level: int
) -> None:
    from dataclasses import replace

    from tsain_core.volumes.zarr_layout import ZarrLayout

    spec = replace(spec, layout=ZarrLayout("0.5", (1, 32, 32)))
    plan, _ = finish(spec)
    expected = open_volume(spec.output).data.compute()
    os.rename(spec.output, f"{spec.output}.alone.zarr")
    stop_after(spec, sum(len(grid) for grid in plan.grids()))
    level = min(level, len(plan.grids()) - 1)
    root = Path(str(staging(Path(spec.output))))
    next(p for p in sorted((root / str(level) / "c").rglob("*")) if p.is_file()).unlink()
    with pytest.raises(TsainError, match="Files of 1 finished blocks.*are missing"):
        finish(spec)
    assert not Path(spec.output).exists()
    finish(spec)
    np.testing.assert_array_equal(open_volume(spec.output).data.compute(), expected)


def test_blocks_of_nothing_but_the_fill_value_have_files(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "s.tif", np.zeros((5, 64, 64), np.uint8))
    output = tmp_path / "out.zarr"
    finish(InterpolationRequest(str(tmp_path / "s.tif"), str(output), model="mean"))
    assert len(list((output / "0").rglob("c/*/*/*"))) == 9


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES])
def test_a_share_that_refuses_fsync_of_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: InterpolationRequest, number: int
) -> None:
    """As some network shares do: the result is complete all the same."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "sync", lambda: pytest.fail("the whole host is synced"))
    for name in NAMES:
        with create_volume(tmp_path / name, (2, 8, 8), "uint8") as writer:
            for z in range(2):
                writer.write(z, np.zeros((8, 8), np.uint8))
    finish(spec)
    assert all((tmp_path / name).exists() for name in (*NAMES, "out.zarr"))


def test_files_that_cannot_be_stored_are_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with (
        pytest.raises(TsainError, match="Input/output error"),
        create_volume(tmp_path / "v.tif", (1, 8, 8), "uint8") as writer,
    ):
        writer.write(0, np.zeros((8, 8), np.uint8))
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        to_disk([tmp_path / "not there"])


@pytest.mark.slow
def test_four_pairs_of_runs() -> None:
    """`benchmarks/race.py`, which takes a hundred."""
    script = REPOSITORY / "benchmarks" / "race.py"
    done = subprocess.run(
        [sys.executable, str(script), "--pairs", "4"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
