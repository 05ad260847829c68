"""Where blocks are computed: in this process, in some beside it, or on a Dask cluster."""

from __future__ import annotations

import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Protocol, TypeVar

from ..errors import TsainError, TsainWarning, first_line, warn
from ..interpolation.request import Cluster
from .block_worker import (
    BlockResult,
    BlockStep,
    BlockTask,
    OpenRun,
    do_task,
    open_given,
    open_run,
    work_on,
)
from .plan import NOTHING, Given

logger = logging.getLogger(__name__)

T = TypeVar("T")
_AHEAD = 2  # tasks for each thread of a cluster that are handed out beforehand
_PATIENCE = 5.0  # seconds between two looks at a cluster
_CONNECT = 10.0  # seconds in which a scheduler must answer


class Executor(Protocol):
    """Something that carries tasks out."""

    #: link to a page that shows what is going on; empty if there is none
    dashboard: str

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function where blocks are computed."""

    def add(self, task: BlockTask) -> None:
        """One more task, during `run`."""

    def run(
        self, tasks: Iterator[BlockTask]
    ) -> Iterator[BlockResult | tuple[BlockTask, BlockStep] | None]:
        """Carry tasks out; yields outcomes, and (task, how far it is), or None meanwhile."""


@contextmanager
def open_executor(cluster: Cluster, given: Given = NOTHING) -> Iterator[Executor]:
    """The executor for a cluster, or for this process, which may have things open already.

    Raises
    ------
    TsainError
        If dask.distributed is missing, or the scheduler cannot be reached.
    """
    if not cluster.workers and not cluster.address:
        yield _Here(given)
        return
    with ExitStack() as stack:
        yield _OnDask(stack, cluster)


class _Here:
    """One block after the other, in this process."""

    dashboard = ""

    def __init__(self, given: Given) -> None:
        self._again: deque[BlockTask] = deque()
        self._given = given
        self._opened: OpenRun | None = None

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        return function(*arguments)

    def add(self, task: BlockTask) -> None:
        self._again.append(task)

    def _open(self, root: str, run: str) -> OpenRun:
        """The run with what is given, opened once: it cannot be found again by the run's id."""
        if self._given is NOTHING:
            return open_run(root, run)
        if self._opened is None:
            self._opened = open_given(root, run, self._given)
        return self._opened

    def run(
        self, tasks: Iterator[BlockTask]
    ) -> Iterator[BlockResult | tuple[BlockTask, BlockStep] | None]:
        while (task := next(tasks, None)) or self._again:
            task = task or self._again.popleft()
            work = work_on(task, self._open)
            with closing(work):
                while True:
                    try:
                        yield task, next(work)
                    except StopIteration as stop:
                        yield stop.value
                        break


class _OnDask:
    """On the workers of a Dask cluster, as many as there are at any time."""

    def __init__(self, stack: ExitStack, cluster: Cluster) -> None:
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise TsainError(
                "Dask's distributed is missing; pip install 'napari-tsain[cluster]'."
            ) from error
        try:
            if cluster.address:
                place = cluster.address
                if os.path.isfile(place):
                    client = Client(scheduler_file=place)
                else:
                    client = Client(place, timeout=_CONNECT)
            else:
                local = LocalCluster(
                    n_workers=cluster.workers,
                    threads_per_worker=1,
                    memory_limit=0,  # the plan keeps to the bound; Dask would kill at it
                    dashboard_address=":0",
                    env=_threads(cluster.workers),
                )
                client = Client(stack.enter_context(local))
        except (OSError, ValueError, TimeoutError) as error:
            raise TsainError(
                f"The Dask scheduler at {cluster.address or 'this machine'} cannot be reached "
                f"({first_line(error)}); check its address, and that its versions agree with ours."
            ) from error
        self._client: Any = stack.enter_context(client)
        self._again: deque[BlockTask] = deque()
        self.dashboard = str(client.dashboard_link or "")

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        future = self._client.submit(_recorded, function, *arguments, pure=False)
        result: T
        result, warned = future.result()
        for text in warned:  # workers have no terminal of the user's
            warn(text)
        return result

    def add(self, task: BlockTask) -> None:
        self._again.append(task)

    def run(
        self, tasks: Iterator[BlockTask]
    ) -> Iterator[BlockResult | tuple[BlockTask, BlockStep] | None]:
        from distributed import wait

        running: dict[Any, BlockTask] = {}
        try:
            while True:
                while len(running) < self._room() and (task := self._next(tasks)) is not None:
                    running[self._client.submit(_recorded, do_task, task, pure=False)] = task
                if not running:
                    return
                try:
                    done = wait(
                        list(running), timeout=_PATIENCE, return_when="FIRST_COMPLETED"
                    ).done
                except TimeoutError:
                    yield None
                    continue
                for future in done:
                    yield _outcome(future, running.pop(future))
        finally:
            self._client.cancel(list(running), force=True)

    def _next(self, tasks: Iterator[BlockTask]) -> BlockTask | None:
        task = next(tasks, None)
        return task or (self._again.popleft() if self._again else None)

    def _room(self) -> int:
        return max(2, _AHEAD * sum(self._client.nthreads().values()))


def _outcome(future: Any, task: BlockTask) -> BlockResult:
    """What became of a task; it has failed if several workers died at it."""
    try:
        result: BlockResult
        result, _ = future.result()  # each worker warns of the source; the plan did before
        return result
    except Exception as error:  # KilledWorker, or whatever a cluster raises
        return BlockResult(
            task.level, task.index, None, f"{type(error).__name__}: {first_line(error)}"
        )


def _recorded(function: Callable[..., T], *arguments: Any) -> tuple[T, list[str]]:
    """In a worker: what a function returns, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TsainWarning)
        result = function(*arguments)
    texts = [str(w.message) for w in caught if issubclass(w.category, TsainWarning)]
    return result, list(dict.fromkeys(texts))


def _threads(workers: int) -> dict[str, str]:
    """Environment that shares the cores among workers."""
    count = str(max(1, (os.cpu_count() or 1) // workers))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {**dict.fromkeys(names, count), "OMP_WAIT_POLICY": "passive"}
