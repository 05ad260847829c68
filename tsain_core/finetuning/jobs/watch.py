"""Watching all jobs; a file is read only when it has changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import TsainError
from ...system.folders import jobs_folder
from .events import EVENTS, Event, read_events
from .job import TURNS, Job, JobState
from .request import REQUEST, JobRequest


@dataclass(frozen=True)
class JobView:
    """A job at one moment.

    Attributes
    ----------
    job : Job
    request : JobRequest
    state : JobState
    """

    job: Job
    request: JobRequest
    state: JobState


@dataclass
class _Known:
    """What has been read of a job, and up to where."""

    stamp: tuple[int, ...] = ()
    read: int = 0
    turn: Event | None = None
    view: JobView | None = None


class JobWatch:
    """The states of all jobs, look after look.

    Of a job that is over, a look takes two file stamps; of others it reads what was appended to
    their events since the last look. For one thread at a time.
    """

    def __init__(self) -> None:
        self._known: dict[Path, _Known] = {}

    def look(self) -> tuple[JobView, ...]:
        """All jobs, the newest first; folders that cannot be understood are left out."""
        try:
            folders = sorted(jobs_folder().iterdir(), reverse=True)
        except OSError:
            folders = []
        self._known = {folder: self._known.get(folder, _Known()) for folder in folders}
        views = (_look_at(folder, known) for folder, known in self._known.items())
        return tuple(view for view in views if view is not None)


def _look_at(folder: Path, known: _Known) -> JobView | None:
    stamp = (*_stamp(folder / REQUEST), *_stamp(folder / EVENTS))
    if known.view is not None and known.view.state.over and stamp == known.stamp:
        return known.view
    events, known.read = read_events(folder, known.read)
    turns = [event for event in events if event["kind"] in TURNS]
    known.turn = turns[-1] if turns else known.turn
    if known.view is None or stamp[:2] != known.stamp[:2]:
        try:
            request = JobRequest.read(folder)
        except TsainError:
            known.view = None
            return None
    else:
        request = known.view.request
    job = Job(folder)
    known.view = JobView(job, request, job.state_after(known.turn))
    known.stamp = stamp
    return known.view


def _stamp(path: Path) -> tuple[int, int]:
    """Time of the last change, and size; zeros for what is not there."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
