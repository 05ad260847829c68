"""Processes on Linux, macOS and Windows: which one it is, whether it lives, and how to start one.

Numbers of processes are used again, so a process is known by its number and the time it started.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import Thread

import psutil

_SAME = 1.0  # seconds by which the start of one process may be told differently


class Liveness(Enum):
    """What is known of a process on this machine."""

    ALIVE = "alive"
    #: there is one of this number, of another start: it is another one, or the clock was set
    OTHER = "other"
    GONE = "gone"


@dataclass(frozen=True)
class ProcessId:
    """A process on this machine.

    Attributes
    ----------
    pid : int
    started : float
        In seconds since 1970.
    """

    pid: int
    started: float

    @staticmethod
    def current() -> ProcessId:
        """This process."""
        return ProcessId(os.getpid(), psutil.Process().create_time())

    @staticmethod
    def of(pid: int) -> ProcessId | None:
        """The process that has this number now."""
        with suppress(psutil.Error):
            return ProcessId(pid, psutil.Process(pid).create_time())
        return None

    def liveness(self) -> Liveness:
        """Whether it is there; one that has ended and was not waited for is gone."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return Liveness.GONE
            same = abs(process.create_time() - self.started) < _SAME
            return Liveness.ALIVE if same else Liveness.OTHER
        except psutil.AccessDenied:  # of another user, but there
            return Liveness.ALIVE
        except (psutil.Error, ValueError, OverflowError):  # also numbers that no process has
            return Liveness.GONE

    @property
    def alive(self) -> bool:
        """Whether this very process is there."""
        return self.liveness() is Liveness.ALIVE

    def wait(self, timeout: float) -> bool:
        """Wait for its end, at most `timeout` seconds; returns whether it has ended."""
        if not self.alive:
            return True
        try:
            psutil.Process(self.pid).wait(timeout)
        except psutil.TimeoutExpired:
            return False
        except psutil.Error:
            pass
        return True

    def kill(self) -> None:
        """End it at once, if it is there."""
        if self.alive:
            with suppress(psutil.Error):
                psutil.Process(self.pid).kill()


def launch_detached(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    *,
    append: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a process that goes on when this one ends, and that Ctrl-C here does not reach.

    Parameters
    ----------
    command : sequence of str
    log : Path
        File for what it prints.
    environment : mapping, optional
        Variables besides those of this process.
    append : bool
        Add to the file, which is emptied otherwise.
    """
    with log.open("ab" if append else "wb") as output:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            creationflags=_WINDOWS_DETACHED,
        )
    # waited for in the background, so that it leaves no zombie while we live
    Thread(target=child.wait, daemon=True, name="tsain-child").start()
    return child


#: What `start_new_session` is on Windows, and no console window; 0 elsewhere.
_WINDOWS_DETACHED = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(
    subprocess, "CREATE_NO_WINDOW", 0
)


def host_name() -> str:
    """This machine and, on Linux, the container: process numbers of two of them are not one's."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{space}"
