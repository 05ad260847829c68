"""Work in another thread: a generator whose yields are progress, and the places to stop."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from threading import Event
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import Qt


@dataclass(frozen=True)
class _Outcome:
    result: Any = None
    error: Exception | None = None
    cancelled: bool = False


def _ignore(*_: Any) -> None:
    """For what nobody waits for."""


class WorkerJob:
    """A generator that runs in a thread of its own.

    The callbacks run in the thread that made the job, which is Qt's. Exactly one of `on_done`,
    `on_error` and `on_cancel` comes last. The generator is always closed, in its own thread, so
    what it was writing is cleared away.

    Parameters
    ----------
    work : generator
    on_event : callable (yielded value)
    on_done : callable (returned value)
    on_error : callable (Exception)
    on_cancel : callable ()
    """

    def __init__(
        self,
        work: Generator[Any, None, Any],
        on_event: Callable[[Any], None] = _ignore,
        on_done: Callable[[Any], None] = _ignore,
        on_error: Callable[[Exception], None] = _ignore,
        on_cancel: Callable[[], None] = _ignore,
    ) -> None:
        self._stop = Event()
        self._on_event, self._on_done = on_event, on_done
        self._on_error, self._on_cancel = on_error, on_cancel
        self.running = True
        self._worker = create_worker(_run, work, self._stop, _start_thread=False)
        self._worker.yielded.connect(self._event)
        self._worker.returned.connect(self._end)
        # napari itself asks workers to quit when its window closes: they stop at a yield, or end
        # in that moment, and then `finished` is all that they say
        self._worker.aborted.connect(work.close, Qt.ConnectionType.DirectConnection)
        self._worker.finished.connect(lambda: self._end(_Outcome(cancelled=True)))
        self._worker.start()

    def cancel(self) -> None:
        """Stop at the next yield."""
        self._stop.set()

    def abandon(self) -> None:
        """Stop at the next yield, and call nothing back: the caller is gone."""
        self._stop.set()
        self._on_event = self._on_done = self._on_error = self._on_cancel = _ignore

    def _event(self, event: Any) -> None:
        if not self._stop.is_set():
            self._on_event(event)

    def _end(self, outcome: _Outcome) -> None:
        if not self.running:
            return
        self.running = False
        if outcome.error is not None:
            self._on_error(outcome.error)
        elif outcome.cancelled:
            self._on_cancel()
        else:
            self._on_done(outcome.result)


class JobQueue:
    """One job at a time: a new one stops the old one, and begins when that has ended."""

    def __init__(self) -> None:
        self._job: WorkerJob | None = None
        self._next: Callable[[], WorkerJob] | None = None
        self._abandoned = False

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._job is not None and self._job.running

    def start(
        self,
        work: Callable[[], Generator[Any, None, Any]],
        on_event: Callable[[Any], None] = _ignore,
        on_done: Callable[[Any], None] = _ignore,
        on_error: Callable[[Exception], None] = _ignore,
        on_cancel: Callable[[], None] = _ignore,
    ) -> None:
        """Stop what runs, then run `work()`; what waited and never began is told of nothing."""
        if self._abandoned:
            return

        def then_next(callback: Callable[..., None]) -> Callable[..., None]:
            def call(*values: Any) -> None:
                callback(*values)
                self._begin_next()

            return call

        def begin() -> WorkerJob:
            ends = [then_next(callback) for callback in (on_done, on_error, on_cancel)]
            return WorkerJob(work(), on_event, *ends)

        self._next = begin
        if self._job is not None and self._job.running:
            self._job.cancel()
        else:
            self._begin_next()

    def cancel(self) -> None:
        """Stop what runs, and forget what waits."""
        self._next = None
        if self._job is not None:
            self._job.cancel()

    def abandon(self) -> None:
        """Stop, tell nobody, and begin nothing more: what hears of a change may still ask."""
        self._abandoned, self._next = True, None
        if self._job is not None:
            self._job.abandon()

    def _begin_next(self) -> None:
        if self._next is not None:
            begin, self._next = self._next, None
            self._job = begin()


def _run(work: Generator[Any, None, Any], stop: Event) -> Generator[Any, None, _Outcome]:
    # errors are returned: superqt takes a RuntimeError for a sign that the worker is gone
    try:
        while not stop.is_set():
            try:
                event = next(work)
            except StopIteration as end:
                return _Outcome(result=end.value)
            yield event
        return _Outcome(cancelled=True)
    except Exception as error:
        return _Outcome(error=error)
    finally:
        work.close()
