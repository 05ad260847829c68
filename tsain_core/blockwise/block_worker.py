"""One block, in whatever process: read, compute, write, mark."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, first_line
from ..inference.models import SliceModel
from ..interpolation.interpolate import SliceReady, TileProgress, interpolate
from ..interpolation.schedule import Schedule
from ..system.memory import keep_freed_memory, peak_memory
from ..system.threads import computing_threads
from ..volumes import Volume
from ..volumes.zarr_layout import halve, open_array
from .blocks import Block
from .plan import NOTHING, Given, RunPlan
from .run_store import RunStore
from .window import WindowModel, WindowVolume, generations, window

#: What makes going on with other blocks pointless.
_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
_UNWRITTEN = 2  # pieces of a block that may wait for the disk
_AT_WORK = Lock()  # a model serves one block at a time


@dataclass(frozen=True)
class BlockTask:
    """A block of a run, by numbers: what is sent to a worker."""

    root: str
    run: str
    level: int
    index: int


@dataclass(frozen=True)
class BlockResult:
    """What became of a block: a report of what it took, or why it failed.

    `fatal` failures end the run: no other block would fare better.
    """

    level: int
    index: int
    report: dict[str, Any] | None = None
    why: str = ""
    fatal: bool = False


@dataclass(frozen=True)
class BlockStep:
    """How far a block is: the fraction that is done, and how many of its slices are on disk."""

    fraction: float
    slices: int = 0


@dataclass(frozen=True)
class OpenRun:
    """A run with everything open."""

    store: RunStore
    plan: RunPlan
    volume: Volume
    model: SliceModel
    schedule: Schedule

    @cached_property
    def generations(self) -> dict[Fraction, int]:
        """Of the whole schedule, which may be long: see `window.generations`."""
        return generations(self.schedule, self.model.any_position)

    def files(self, block: Block) -> Iterator[str]:
        """Names of a block's files, below the root."""
        layout = self.plan.request.layout
        shape = layout.levels(self.plan.shape)[block.level]
        return layout.files(block.level, shape, block.slices)


@lru_cache(maxsize=1)
def open_run(root: str, run: str) -> OpenRun:
    """Open a run once in each process.

    Raises
    ------
    TsainError
        If it is not there, or another one is.
    """
    return open_given(root, run, NOTHING)


def open_given(root: str, run: str, given: Given) -> OpenRun:
    """As `open_run`, with what is open already; not kept."""
    store = RunStore(root)
    plan = store.plan()
    if plan is None or plan.id != run:
        raise TsainError(f"The run at {root} is not there any more; start it again.")
    volume, model = given.open_volume(plan.request), plan.open_model(given)
    return OpenRun(store, plan, volume, model, plan.schedule(volume))


def do_task(task: BlockTask) -> BlockResult:
    """Make a block; never raises, because errors have to travel from process to process."""
    keep_freed_memory()  # Dask has its workers give every page back at once
    work = work_on(task)
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: BlockResult = stop.value
            return result


def work_on(
    task: BlockTask, open_: Callable[[str, str], OpenRun] = open_run
) -> Generator[BlockStep, None, BlockResult]:
    """Make a block; yields how far it is. Closing the generator stops within a tile."""
    try:
        with _AT_WORK:
            run = open_(task.root, task.run)
            block = run.plan.grids()[task.level][task.index]
            make = coarsen if task.level else compute
            report = yield from make(run, block)
            run.store.mark(block, report, run.files(block))
            return BlockResult(task.level, task.index, report)
    except TsainError as error:
        return BlockResult(task.level, task.index, None, str(error), _is_fatal(error.__cause__))
    except Exception as error:  # of files, networks and codecs, of any kind
        why = f"{type(error).__name__}: {first_line(error)}"
        return BlockResult(task.level, task.index, None, why, _is_fatal(error))


def _is_fatal(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in _FATAL


def compute(run: OpenRun, block: Block) -> Generator[BlockStep, None, dict[str, Any]]:
    """A block of full resolution."""
    started, cpu = time.perf_counter(), time.process_time()
    table = run.generations
    _, height, width = run.volume.shape
    deepest = max(table.values(), default=0)
    part = window(run.model, (height, width), block.region, deepest, run.plan.tiling)
    slices = run.schedule.slices[block.z0 : block.z1]
    first, last = min(s.before for s in slices), max(s.after for s in slices)
    volume = WindowVolume(run.volume, part.read, first, last)
    events = interpolate(
        volume,
        replace(run.schedule, slices=slices),
        WindowModel(run.model, part, table),
        run.plan.intensity,
    )
    inside = part.write.within(part.read).slices
    empty = 0
    with computing_threads(run.plan.threads), _Writer(run, block) as writer:
        for event in events:
            if isinstance(event, TileProgress):
                yield BlockStep(event.done / max(event.total, 1), writer.written)
            elif isinstance(event, SliceReady):
                writer.add(event.image[inside])
                yield BlockStep((event.index + 1) / len(slices), writer.written)
                if event.without_data is not None:
                    empty += int(np.count_nonzero(event.without_data[inside]))
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "reading": volume.seconds,
        "writing": writer.seconds,
        "read": volume.bytes,
        "written": block.voxels * run.volume.dtype.itemsize,
        "without_data": empty,
        **_about_process(),
    }


class _Writer:
    """Takes a block's slices in order, and writes them as whole files while others are computed."""

    def __init__(self, run: OpenRun, block: Block) -> None:
        self._array = open_array(run.store.root, block.level, "r+")
        self._deep = run.plan.request.layout.file_shape(run.plan.shape)[0]
        self._block, self._at = block, block.z0
        self._pieces: list[NDArray[Any]] = []
        self._waiting: deque[Future[None]] = deque()
        self.seconds, self.written = 0.0, 0

    def __enter__(self) -> _Writer:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tsain-write")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for job in self._waiting:
                job.cancel()
        else:
            self._wait(0)
        self._thread.shutdown()

    def add(self, image: NDArray[Any]) -> None:
        """The next slice."""
        self._pieces.append(np.ascontiguousarray(image))
        if len(self._pieces) == self._deep or self._at + len(self._pieces) == self._block.z1:
            pieces = np.stack(self._pieces)
            self._pieces = []
            self._waiting.append(self._thread.submit(self._write, self._at, pieces))
            self._at += len(pieces)
            self._wait(0 if self._deep > 1 else _UNWRITTEN)

    def _wait(self, most: int) -> None:
        while len(self._waiting) > most:
            self._waiting.popleft().result()

    def _write(self, z: int, pieces: NDArray[Any]) -> None:
        started = time.perf_counter()
        y, x = self._block.region.slices
        self._array[z : z + len(pieces), y, x] = pieces
        self.written += len(pieces)
        self.seconds += time.perf_counter() - started


def coarsen(run: OpenRun, block: Block) -> Generator[BlockStep, None, dict[str, Any]]:
    """A block of a coarser level, from the level below."""
    started, cpu = time.perf_counter(), time.process_time()
    fine = open_array(run.store.root, block.level - 1, "r")
    coarse = open_array(run.store.root, block.level, "r+")
    deep = run.plan.request.layout.file_shape(run.plan.shape)[0]
    r, reading, writing = block.region, 0.0, 0.0
    for z in range(block.z0, block.z1, deep):
        last = min(z + deep, block.z1)
        begun = time.perf_counter()
        box = fine[z:last, 2 * r.y0 : 2 * r.y1, 2 * r.x0 : 2 * r.x1]
        reading += time.perf_counter() - begun
        halved = np.stack([halve(image) for image in np.asarray(box)])
        begun = time.perf_counter()
        coarse[z:last, r.y0 : r.y1, r.x0 : r.x1] = halved
        writing += time.perf_counter() - begun
        yield BlockStep((last - block.z0) / (block.z1 - block.z0))
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "reading": reading,
        "writing": writing,
        "read": 4 * block.voxels * fine.dtype.itemsize,
        "written": block.voxels * fine.dtype.itemsize,
        "without_data": 0,
        **_about_process(),
    }


def _about_process() -> dict[str, Any]:
    return {"peak": peak_memory(), "worker": f"{socket.gethostname()}:{os.getpid()}"}
