"""News of jobs, from a thread: files may lie on a slow disk."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from threading import Event as Flag

from tsain_core.finetuning.jobs import Job, JobView, JobWatch
from tsain_core.finetuning.jobs.events import Event

_REST = 0.5  # seconds between two looks


@dataclass(frozen=True)
class News:
    """What one look found.

    Attributes
    ----------
    jobs : tuple of JobView
        All jobs, the newest first.
    events : list of Event
        What the chosen job has said since the look before; since its beginning in the first one.
    choice : int
        Which choice that was, as `JobFeed.choose` counts.
    """

    jobs: tuple[JobView, ...]
    events: list[Event]
    choice: int


class JobFeed:
    """Looks at all jobs twice a second, and reads what the chosen one has to say."""

    def __init__(self) -> None:
        self._watch = JobWatch()
        self._chosen: tuple[int, Job | None] = 0, None
        self._wake, self._over = Flag(), False

    def choose(self, job: Job | None) -> int:
        """Read this job from its beginning; returns the number of the choice."""
        self._chosen = self._chosen[0] + 1, job
        self._wake.set()
        return self._chosen[0]

    def look_now(self) -> None:
        """Do not wait for the next look."""
        self._wake.set()

    def end(self) -> None:
        """Let `run` return."""
        self._over = True
        self._wake.set()

    def run(self) -> Generator[News, None, None]:
        """News, look after look."""
        choice, read = -1, 0
        while not self._over:
            self._wake.clear()
            number, job = self._chosen
            if number != choice:
                choice, read = number, 0
            jobs = self._watch.look()
            events: list[Event] = []
            if job is not None:
                events, read = job.events(read)
            yield News(jobs, events, choice)
            self._wake.wait(_REST)
