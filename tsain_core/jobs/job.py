"""A job as others see it: its state, its history, and the means to steer it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import psutil

from .._places import jobs_folder
from ..errors import TsainError
from ..volumes import Volume, create_volume
from .events import Event, append_event, read_events
from .request import JobRequest

PROCESS, CONTROL, LOG, INPUT = "process", "control", "log.txt", "input.zarr"
_STARTING = 60.0  # seconds in which a process that was started has to report itself


class JobState(Enum):
    """What a job is doing."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Whether no process is at work any more."""
        return self in (JobState.FINISHED, JobState.CANCELLED, JobState.FAILED)


@dataclass(frozen=True)
class Job:
    """A job's folder, and what can be done with it from outside.

    Objects hold no state: two that name the same folder are the same job.
    """

    folder: Path

    @property
    def request(self) -> JobRequest:
        """What it was asked to do; see `JobRequest.read`."""
        return JobRequest.read(self.folder)

    @property
    def result(self) -> Path:
        """The model file that a successful job writes."""
        return self.folder / f"{self.request.name}.safetensors"

    def events(self, start: int = 0) -> tuple[list[Event], int]:
        """What it has said from byte `start` on, and where to go on reading."""
        return read_events(self.folder, start)

    @property
    def state(self) -> JobState:
        """What it is doing now. A process that vanished without a word has failed."""
        last = self._last("started", "finished", "cancelled", "failed", "paused", "resumed")
        kind = last["kind"] if last else ""
        if kind in ("finished", "cancelled", "failed"):
            return JobState(kind)
        if self.process() is not None:
            return JobState.PAUSED if kind == "paused" else JobState.RUNNING
        unheard = kind == "started" and not (self.folder / PROCESS).exists()
        if unheard and last is not None and time.time() - last["time"] < _STARTING:
            return JobState.STARTING
        return JobState.FAILED

    def problem(self) -> str:
        """Why it failed, in one line; empty if it did not."""
        if self.state is not JobState.FAILED:
            return ""
        last = self._last("failed")
        if last is not None:
            return str(last["message"])
        return (
            "The process ended without a word: it was killed, or memory ran out. Resume it, or "
            f"look into {self.folder / LOG}."
        )

    def _last(self, *kinds: str) -> Event | None:
        events, _ = self.events()
        return next((e for e in reversed(events) if e["kind"] in kinds), None)

    def process(self) -> psutil.Process | None:
        """The process at work, if there is one."""
        try:
            number, created = (self.folder / PROCESS).read_text(encoding="utf-8").split()
            process = psutil.Process(int(number))
            # another process may have got the number since
            alive = abs(process.create_time() - float(created)) < 1
            return process if alive and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, psutil.Error):
            return None

    def start(self) -> None:
        """Start or resume it in a process that outlives this one.

        Raises
        ------
        TsainError
            If it is at work already.
        """
        if self.process() is not None:
            raise TsainError(f"The job {self.request.name} is at work already.")
        (self.folder / PROCESS).unlink(missing_ok=True)
        self._control("")
        append_event(self.folder, "started")
        command = [sys.executable, "-m", "tsain_core.jobs", str(self.folder)]
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
        with (self.folder / LOG).open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )
        _reap(child)

    def pause(self) -> None:
        """Ask it to wait after the present step; memory is kept."""
        self._control("pause")

    def resume(self) -> None:
        """Let it go on, in a new process if there is none."""
        if self.process() is not None:
            self._control("")
        else:
            self.start()

    def stop(self) -> None:
        """Ask it to end now and keep the best that it has."""
        self._control("stop")

    def cancel(self, timeout: float = 10.0) -> None:
        """End it and keep nothing; kills the process if it does not obey."""
        self._control("cancel")
        process = self.process()
        if process is None:
            if not self.state.over or self.state is JobState.FAILED:
                append_event(self.folder, "cancelled")
            return
        try:
            process.wait(timeout)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout)
            append_event(self.folder, "cancelled")

    def wished(self) -> str:
        """What was asked of it last: "", "pause", "stop" or "cancel"."""
        try:
            return (self.folder / CONTROL).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _control(self, wish: str) -> None:
        partial = self.folder / f".{CONTROL}"
        partial.write_text(wish, encoding="utf-8")
        partial.replace(self.folder / CONTROL)


def start_job(request: JobRequest) -> Job:
    """Make a folder for a job, and start it; raises as `make_job`."""
    job = make_job(request)
    job.start()
    return job


def make_job(request: JobRequest) -> Job:
    """Make a folder for a job that is not started yet.

    Raises
    ------
    TsainError
        If the name is none for a file.
    """
    if not re.fullmatch(r"[\w][\w .-]*", request.name):
        raise TsainError(
            f"{request.name!r} is no name for a model; use letters, digits, dots and dashes."
        )
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1000):
        folder = jobs_folder() / f"{stamp}-{attempt}-{request.name}"
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    request.write(folder)
    return Job(folder)


def copy_input(job: Job, volume: Volume) -> Iterator[int]:
    """Write a volume that is in no file into the job's folder, and let the job read it there.

    Yields the number of slices written so far, after each.
    """
    path = job.folder / INPUT
    with create_volume(
        path, volume.shape, volume.dtype, voxel_size=volume.voxel_size, unit=volume.unit
    ) as writer:
        for z in range(volume.shape[0]):
            writer.write(z, volume[z])
            yield z + 1
    replace(job.request, source=str(path), dataset=None).write(job.folder)


def list_jobs() -> list[Job]:
    """All jobs of this user, the newest first; folders that cannot be understood are left out."""
    if not jobs_folder().is_dir():
        return []
    jobs = []
    for folder in sorted(jobs_folder().iterdir(), reverse=True):
        with suppress(TsainError):
            JobRequest.read(folder)
            jobs.append(Job(folder))
    return jobs


def _reap(child: subprocess.Popen[bytes]) -> None:
    """Wait for a child in the background, so that it leaves no zombie while we live."""
    from threading import Thread

    Thread(target=child.wait, daemon=True, name="tsain-job").start()
