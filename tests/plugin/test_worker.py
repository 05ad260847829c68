"""Jobs in threads of their own: however they end, they say so once."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest

from napari_tsain.widgets.worker import JobQueue, WorkerJob


def ends_of(qtbot: Any, work: Generator[Any, None, Any]) -> tuple[WorkerJob, list[str]]:
    """Run a job to its end; the callbacks that were called."""
    ends: list[str] = []
    job = WorkerJob(
        work,
        on_done=lambda _: ends.append("done"),
        on_error=lambda _: ends.append("error"),
        on_cancel=lambda: ends.append("cancelled"),
    )
    qtbot.waitUntil(lambda: not job.running)
    qtbot.wait(50)  # whatever comes late
    return job, ends


@pytest.mark.parametrize("last_words", ["return", "yield"])
def test_quits_while_it_ends(qtbot: Any, last_words: str) -> None:
    """As napari asks when its window closes: the thread then says neither result nor abortion."""
    jobs: list[Any] = []
    closed_in: list[threading.Thread] = []
    begin = threading.Event()

    def work() -> Generator[int, None, str]:
        try:
            begin.wait(10)
            jobs[0]._worker.quit()
            if last_words == "yield":
                yield 1
            return "result"
        finally:
            closed_in.append(threading.current_thread())

    ends: list[str] = []
    jobs.append(WorkerJob(work(), on_cancel=lambda: ends.append("cancelled")))
    begin.set()
    qtbot.waitUntil(lambda: not jobs[0].running)
    assert ends == ["cancelled"]
    assert closed_in and closed_in[0] is not threading.main_thread()


def test_ends_once(qtbot: Any) -> None:
    def good() -> Generator[int, None, int]:
        yield 1
        return 2

    def bad() -> Generator[int, None, int]:
        yield 1
        raise RuntimeError("like a deleted worker")

    assert ends_of(qtbot, good())[1] == ["done"]
    assert ends_of(qtbot, bad())[1] == ["error"]


def test_an_abandoned_queue_begins_nothing(qtbot: Any) -> None:
    """What hears of a change while its dock goes may still ask for work."""
    queue, done = JobQueue(), []

    def work() -> Generator[int, None, int]:
        yield 1
        return 2

    queue.start(work, on_done=done.append)
    queue.abandon()
    queue.start(work, on_done=done.append)
    assert queue._next is None
    qtbot.wait(200)
    assert not done and not queue.busy
