"""Processes: which one it is, whether it lives, and one that outlives its starter."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tsain_core.system.processes import Liveness, ProcessId, launch_detached

_SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_process_is_known_by_number_and_start() -> None:
    me = ProcessId.current()
    assert me.alive and ProcessId.of(me.pid) == me
    assert ProcessId(me.pid, me.started - 60).liveness() is Liveness.OTHER
    assert not me.wait(0.05)


@pytest.mark.parametrize("pid", [-1, 2**31 - 7, 10**12, 10**40])
def test_numbers_that_no_process_has(pid: int) -> None:
    assert ProcessId(pid, 0.0).liveness() is Liveness.GONE
    assert ProcessId(pid, 0.0).wait(0)
    ProcessId(pid, 0.0).kill()


def test_a_process_that_ended_is_gone_though_nobody_waited() -> None:
    child = subprocess.Popen(_SLEEP)
    process = ProcessId.of(child.pid)
    assert process is not None and process.alive
    ProcessId(child.pid, process.started - 60).kill()  # another one of that number
    assert process.alive
    child.kill()
    deadline = time.monotonic() + 20
    while process.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not process.alive and process.wait(0)
    child.wait()


def test_a_detached_process_writes_its_log_and_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    words = (
        "import os, sys; print(os.environ['TSAIN_WORD']); print('b', file=sys.stderr); sys.exit(3)"
    )
    for append in (True, True, False):
        child = launch_detached(
            [sys.executable, "-c", words], log, {"TSAIN_WORD": "a"}, append=append
        )
        assert child.wait(60) == 3
    assert sorted(log.read_text().split()) == ["a", "b"]  # the last run emptied it
