"""Carrying a plan out: blocks, again and again, until all are done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from ..errors import TsainError, argument, first_line
from ..volumes._locations import Location, is_remote, locate
from ..volumes._lock import OutputLock
from ..volumes._publish import cannot_write, publish
from ..volumes.writer import Target, check_free, refuse_source
from ..volumes.zarr_layout import computed_digests, create_arrays, write_metadata
from .block_worker import Outcome, Task, open_run
from .blocks import Block, BlockGrid, ReadySlices
from .executors import HERE, Cluster, Executor, open_executor
from .plan import NOTHING, Given, RunPlan, StreamRequest
from .planning import make_plan
from .run_store import Record, staging

ATTEMPTS = 3  # at a block, before it counts as failed
_SHOWN = 5  # failed blocks that are named in an error


@dataclass(frozen=True)
class Begun:
    """The plan stands.

    Attributes
    ----------
    plan : RunPlan
    done, total : int
        Blocks that were there already, and all.
    partial : str
        Where the result grows: the arrays of all levels, in which what is missing is 0.
    dashboard : str
        Dask's page.
    """

    plan: RunPlan
    done: int
    total: int
    partial: str
    dashboard: str = ""


@dataclass(frozen=True)
class Progress:
    """Fraction of all voxels, of all levels, that are done."""

    done: float


@dataclass(frozen=True)
class SlicesReady:
    """The first `count` slices of the result are on disk, in full resolution; never fewer later."""

    count: int


@dataclass(frozen=True)
class BlockDone:
    """A block is on disk; what it took."""

    block: Block
    report: dict[str, Any]


@dataclass(frozen=True)
class BlockFailed:
    """A block failed; `again` if it is tried once more."""

    block: Block
    why: str
    again: bool


@dataclass(frozen=True)
class Done:
    """All is done, and the output has its name.

    Attributes
    ----------
    blocks : int
        Made in this run.
    seconds : float
    peak : int
        Most memory of any process, in bytes.
    without_data : int
        Computed voxels that have no value: a chunk that they would be computed from was never
        written, or both real slices are NaN or infinite there.
    left_out : tuple of str
        Regions of blocks that failed, which hold the fill value.
    """

    blocks: int
    seconds: float
    peak: int
    without_data: int
    left_out: tuple[str, ...] = ()


Event = Begun | Progress | SlicesReady | BlockDone | BlockFailed | Done


def stream(
    asked: StreamRequest,
    cluster: Cluster = HERE,
    *,
    overwrite: bool = False,
    restart: bool = False,
    leave_out_failed: bool = False,
    accept_changed_input: bool = False,
    given: Given = NOTHING,
) -> Generator[Event, None, None]:
    """Interpolate a volume block by block, or go on where an earlier run of the same was stopped.

    The same voxels come out of any number of processes and interruptions. Closing the generator,
    an error or a killed process leave the finished blocks for the next run; the output takes its
    name when all are there. Behind URLs, where nothing can be renamed, the arrays lie in their
    place from the beginning, but the metadata that make them an image come last.

    Parameters
    ----------
    asked : StreamRequest
    cluster : Cluster
        Where blocks are computed; here by default.
    overwrite : bool
        Replace an existing output, at the end.
    restart : bool
        Forget what an unfinished run left.
    leave_out_failed : bool
        Finish although blocks failed: they hold the fill value, and the output says which.
    accept_changed_input : bool
        Go on although the input's files have changed: damaged ones were mended.
    given : Given
        Volume and model that are open already; only where blocks are computed in this process.

    Yields
    ------
    Begun, Progress, SlicesReady, BlockDone, BlockFailed or Done
        `Begun` first, `Done` last.

    Raises
    ------
    TsainError
        If the input or the settings are others than those of the run that is to go on, another
        process is at it, the disk is full, or blocks failed: after all others are done.
    """
    if given is not NOTHING and cluster != HERE:
        raise ValueError("What is open in this process cannot be given to a cluster.")
    options = RunOptions(overwrite, restart, leave_out_failed, accept_changed_input)
    try:
        yield from _carry_out(asked, cluster, options, given)
    except TsainError:
        raise
    except Exception as error:  # the libraries behind URLs have errors of many kinds
        if any(is_remote(locate(place)) for place in (asked.source, asked.output)):
            raise TsainError(
                f"{asked.source} or {asked.output} cannot be reached ({first_line(error)}); check "
                "network and credentials and repeat the run: finished blocks are kept."
            ) from error
        if not isinstance(error, OSError):
            raise
        remedy = cannot_write(asked.output, error)
        raise TsainError(f"{remedy} Finished blocks are kept: repeat the run to go on.") from error


@dataclass(frozen=True)
class RunOptions:
    """What to do about earlier runs and failures."""

    overwrite: bool
    restart: bool
    leave_out_failed: bool
    accept_changed_input: bool


def _carry_out(
    asked: StreamRequest, cluster: Cluster, options: RunOptions, given: Given
) -> Generator[Event, None, None]:
    started = time.monotonic()
    output = locate(asked.output)
    _refuse_source(asked, output)
    with ExitStack() as stack:
        # before anything is looked at, and until the output has its name
        lock = stack.enter_context(OutputLock(output))
        _check_output(output, options.overwrite)
        record = Record(staging(output))
        if options.restart:
            record.discard()
        executor = stack.enter_context(open_executor(cluster, given))
        plan = _begin_or_go_on(asked, record, executor, options.accept_changed_input, given)
        grids = plan.grids()
        done = [record.done(grid.level) for grid in grids]
        total = sum(len(grid) for grid in grids)
        there = sum(len(d) for d in done)
        yield Begun(plan, there, total, str(record.root), executor.dashboard)
        failed: list[tuple[Block, str]] = []
        made = 0
        for event in _levels(record, plan, executor, done, failed, options.leave_out_failed):
            made += isinstance(event, BlockDone)
            yield event
        left_out = tuple(str(block) for block, _ in failed)
        if failed and not options.leave_out_failed:
            raise TsainError(_what_failed(asked, failed, total))
        reports = [r for grid in grids for r in record.done(grid.level).values()]
        _check_files(record, plan, {(block.level, block.index) for block, _ in failed})
        lock.check()
        target = plan.target(given.open_volume(plan.asked))
        _finish(record, plan, target, output, options.overwrite, left_out)
    yield Done(
        made,
        time.monotonic() - started,
        max((int(r["peak"]) for r in reports), default=0),
        sum(int(r["without_data"]) for r in reports),
        left_out,
    )


def _refuse_source(asked: StreamRequest, output: Location) -> None:
    if not is_remote(output):
        refuse_source(Path(str(output)), asked.source)
    elif asked.source.rstrip("/").startswith(str(output)) or str(output).startswith(asked.source):
        raise TsainError(
            f"The result {output} would lie over or inside the source; expected a name elsewhere."
        )


def _check_output(output: Location, overwrite: bool) -> None:
    if not is_remote(output):
        check_free(Path(str(output)), overwrite, writes_folder=True)
    elif any((output / name).exists() for name in ("zarr.json", ".zgroup")):
        raise TsainError(
            f"{output} exists; choose another name, or remove it yourself: what lies behind a URL "
            "cannot be replaced in one step."
        )


def _begin_or_go_on(
    asked: StreamRequest,
    record: Record,
    executor: Executor,
    accept_changed_input: bool,
    given: Given,
) -> RunPlan:
    """The plan of the run that lies there, if it is the same; else a new one."""
    old = record.plan()
    plan = executor.call(make_plan, asked, given)
    if old is not None:
        old.check_same(plan, accept_changed_input)
        if plan.asked.memory and old.need > plan.asked.memory:
            raise TsainError(
                f"The run was begun with blocks that take about {old.need / 2**20:.0f} MiB: "
                f"give {argument('memory')} of at least that, or {argument('restart')}."
            )
        old = replace(old, source=plan.source)
        record.begin(old)
        return old
    record.discard()  # what a run left that did not come as far as a plan
    create_arrays(record.root, plan.target(given.open_volume(plan.asked)), plan.asked.layout)
    record.begin(plan)
    return plan


def _levels(
    record: Record,
    plan: RunPlan,
    executor: Executor,
    done: Sequence[dict[int, dict[str, Any]]],
    failed: list[tuple[Block, str]],
    leave_out_failed: bool,
) -> Iterator[Event]:
    """All blocks that are missing, level by level: the coarser are made of the finer."""
    grids = plan.grids()
    whole = sum(_weight(grid.level) * prod(grid.shape) for grid in grids)
    reached = sum(
        _weight(grid.level) * grid[i].voxels for grid, d in zip(grids, done, strict=True) for i in d
    )
    yield Progress(reached / whole)
    for grid, finished in zip(grids, done, strict=True):
        if failed and not leave_out_failed:
            return
        for event in _blocks(record, plan, grid, finished, executor):
            if isinstance(event, float):
                yield Progress((reached + _weight(grid.level) * event) / whole)
                continue
            yield event
            if isinstance(event, BlockDone):
                reached += _weight(grid.level) * event.block.voxels
                yield Progress(reached / whole)
            elif isinstance(event, BlockFailed) and not event.again:
                failed.append((event.block, event.why))


def _weight(level: int) -> float:
    """What a voxel counts in progress: those of coarser levels are only averaged."""
    return 0.1 if level else 1.0


def _blocks(
    record: Record,
    plan: RunPlan,
    grid: BlockGrid,
    finished: Collection[int],
    executor: Executor,
) -> Iterator[float | SlicesReady | BlockDone | BlockFailed]:
    """The blocks of a level; numbers are the voxels of blocks that are not done yet."""
    attempts: Counter[int] = Counter()
    todo = (i for i in range(len(grid)) if i not in finished)
    tasks = (Task(str(record.root), plan.id, grid.level, i) for i in todo)
    ready = ReadySlices(grid, finished)
    if not grid.level:
        yield SlicesReady(ready.count())
    for result in executor.run(tasks):
        if result is None:
            yield 0.0
            continue
        if not isinstance(result, Outcome):
            task, step = result
            if not grid.level and step.slices:
                yield SlicesReady(ready.count(task.index, step.slices))
            yield step.fraction * grid[task.index].voxels
            continue
        block = grid[result.index]
        if result.report is not None:
            ready.finish(result.index)
            yield BlockDone(block, result.report)
            if not grid.level:
                yield SlicesReady(ready.count())
            continue
        if result.fatal:
            raise TsainError(
                f"{plan.asked.output} cannot be written or its input not be read ({result.why}); "
                "free space, or see to the permissions, and repeat the run: finished blocks "
                "are kept."
            )
        attempts[result.index] += 1
        again = attempts[result.index] < ATTEMPTS
        if again:
            executor.add(Task(str(record.root), plan.id, grid.level, result.index))
        yield BlockFailed(block, result.why, again)


def _check_files(record: Record, plan: RunPlan, left_out: set[tuple[int, int]]) -> None:
    """See that every file of every block is there, before the output gets its name."""
    lost = []
    for grid in plan.grids():
        there = record.files_of_level(grid.level)
        for i in range(len(grid)):
            block = grid[i]
            names = plan.asked.layout.files(grid.level, grid.shape, block.slices)
            if (grid.level, i) not in left_out and not all(there(name) for name in names):
                record.unmark(block)
                lost.append(block)
    if lost:
        raise TsainError(
            f"Files of {len(lost)} finished blocks of {plan.asked.output} are missing, the first "
            f"of {lost[0]}; something removed them. Repeat the run, which makes these again."
        )


def _finish(
    record: Record,
    plan: RunPlan,
    target: Target,
    output: Location,
    overwrite: bool,
    left_out: tuple[str, ...],
) -> None:
    """Give a complete output its metadata and its name."""
    if left_out:
        target.marks.provenance["left_out"] = list(left_out)
    digests = computed_digests(record.root, target, plan.asked.layout)
    target = replace(target, marks=replace(target.marks, digests=digests))
    record.sweep()
    write_metadata(record.root, target, plan.asked.layout)
    open_run.cache_clear()
    if not is_remote(output):
        publish(Path(str(record.root)), Path(str(output)), overwrite, on_disk=True)
    Record(output).clear()


def _what_failed(asked: StreamRequest, failed: list[tuple[Block, str]], total: int) -> str:
    shown = "; ".join(f"{block}: {why}" for block, why in failed[:_SHOWN])
    more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    return (
        f"{len(failed)} of {total} blocks of {asked.output} failed ({shown}{more}); mend the input "
        f"and repeat the run with {argument('accept_changed_input')}, which makes only these, or "
        f"finish without them with {argument('leave_out_failed')}."
    )
