"""A job as others see it: its state, its history, and the means to steer it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from ...errors import TsainError
from ...system.atomic import write_text
from ...system.folders import jobs_folder
from ...system.processes import ProcessId, launch_detached
from ...volumes import Volume, create_volume
from .events import Event, append_event, read_events
from .naming import check_name
from .request import JobRequest

PROCESS, CONTROL, LOG, INPUT = "process", "control", "log.txt", "input.zarr"
#: Kinds of events that say what a job is doing from then on.
TURNS = ("started", "begun", "paused", "resumed", "finished", "cancelled", "failed")
_STARTING = 60.0  # seconds in which a process that was started has to report itself


class JobState(Enum):
    """What a job is doing; PAUSING and STOPPING until it has heard what it was told."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
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
        """Settings of the job; see `JobRequest.read`."""
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
        return self.state_after(self._last(*TURNS))

    def state_after(self, turn: Event | None) -> JobState:
        """The same for those who know the last event of the kinds in `TURNS`."""
        kind = turn["kind"] if turn else ""
        if kind in ("finished", "failed"):
            return JobState(kind)
        if kind == "cancelled":
            return JobState.CANCELLED if self.process() is None else JobState.STOPPING
        if self.process() is None:
            unheard = kind == "started" and not (self.folder / PROCESS).exists()
            young = turn is not None and time.time() - turn["time"] < _STARTING
            return JobState.STARTING if unheard and young else JobState.FAILED
        told = self.told()
        if told in ("stop", "cancel"):
            return JobState.STOPPING
        if told == "pause":
            return JobState.PAUSED if kind == "paused" else JobState.PAUSING
        return JobState.STARTING if kind == "started" else JobState.RUNNING

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

    def process(self) -> ProcessId | None:
        """The process at work, if there is one."""
        try:
            number, started = (self.folder / PROCESS).read_text(encoding="utf-8").split()
            process = ProcessId(int(number), float(started))
        except (OSError, ValueError):
            return None
        return process if process.alive else None

    def start(self) -> None:
        """Start or resume it in a process that outlives this one.

        Raises
        ------
        TsainError
            If it is at work already.
        """
        if self.process() is not None or self.state is JobState.STARTING:
            raise TsainError(f"The job {self.request.name} is at work already.")
        (self.folder / PROCESS).unlink(missing_ok=True)
        self._control("")
        append_event(self.folder, "started")
        command = [sys.executable, "-m", "tsain_core.finetuning.jobs", str(self.folder)]
        root = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
        child = launch_detached(command, self.folder / LOG, {"PYTHONPATH": path}, append=True)
        if (process := ProcessId.of(child.pid)) is not None:
            self.report_process(process)

    def report_process(self, process: ProcessId) -> None:
        """Write down which process is at work."""
        self._write(PROCESS, f"{process.pid} {process.started}")

    def pause(self) -> None:
        """Ask it to wait after the present step; memory is kept."""
        self._control("pause")

    def resume(self) -> None:
        """Let it go on, in a new process if there is none."""
        if self.process() is not None or self.state is JobState.STARTING:
            self._control("")
        else:
            self.start()

    def stop(self) -> None:
        """Ask it to end now and keep the best that it has."""
        self._control("stop")

    def cancel(self, timeout: float = 10.0) -> None:
        """End it and keep nothing; kills the process if it does not obey.

        Waits up to `timeout` seconds.
        """
        self._control("cancel")
        process = self.process()
        if process is None:
            if not self.state.over or self.state is JobState.FAILED:
                append_event(self.folder, "cancelled")
            return
        # before it has begun it imports libraries, and listens to nobody
        if not process.wait(0 if self.last_turn() == "started" else timeout):
            process.kill()
            process.wait(timeout)
            if not self.state.over or self.state is JobState.FAILED:
                append_event(self.folder, "cancelled")

    def last_turn(self) -> str:
        """The last event of the kinds in `TURNS`; empty before the first."""
        last = self._last(*TURNS)
        return str(last["kind"]) if last else ""

    def told(self) -> str:
        """What it was told last: "", "pause", "stop" or "cancel"."""
        try:
            return (self.folder / CONTROL).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _control(self, word: str) -> None:
        self._write(CONTROL, word)

    def _write(self, name: str, text: str) -> None:
        """Write a small file in one step: others may be reading it."""
        write_text(self.folder / name, text)


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
        If the name is none for a model, or the folder cannot be made.
    """
    check_name(request.name)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1000):
        folder = jobs_folder() / f"{stamp}-{attempt}-{request.name}"
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            if not jobs_folder().is_dir():
                raise TsainError(f"{jobs_folder()} is no folder; remove that file.") from None
        except OSError as error:
            raise TsainError(
                f"No folder for a job can be made in {jobs_folder()} "
                f"({error.strerror or error}); free it, or set TSAIN_HOME to another folder."
            ) from error
    request.write(folder)
    return Job(folder)


def copy_input(job: Job, volume: Volume) -> Iterator[int]:
    """Write a volume that is in no file into the job's folder, and let the job read it there.

    Yields the number of slices written so far, after each.
    """
    path = job.folder / INPUT
    with create_volume(
        path,
        volume.shape,
        volume.dtype,
        voxel_size=volume.voxel_size,
        unit=volume.unit,
        offset=volume.offset,
        synthetic=volume.synthetic,
        partial=volume.partial,
        provenance=volume.provenance,
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
