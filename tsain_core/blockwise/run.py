"""Carrying out a plan: computes all blocks, and retries failed ones up to three times."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from ..errors import TsainError, argument, first_line
from ..interpolation.request import HERE, InterpolationRequest
from ..volumes._locations import Location, is_remote, locate
from ..volumes._lock import OutputLock
from ..volumes._publish import cannot_write, publish
from ..volumes.writer import Target, check_free, refuse_source
from ..volumes.zarr_layout import computed_digests, create_arrays, write_metadata
from .beside import Beside, make_beside, put_in_place
from .block_worker import BlockResult, BlockTask, open_run
from .blocks import Block, BlockGrid, ReadySlices
from .events import BlockDone, BlockFailed, Event, RunFinished, RunProgress, RunStarted, SlicesReady
from .executors import Executor, open_executor
from .plan import NOTHING, Given, RunPlan
from .planning import make_plan
from .run_store import RunStore, staging

ATTEMPTS = 3  # at a block, before it counts as failed
_SHOWN = 5  # failed blocks that are named in an error


def interpolate_blockwise(
    request: InterpolationRequest, given: Given = NOTHING, beside: Sequence[Beside] = ()
) -> Generator[Event, None, None]:
    """Interpolate a volume block by block, or go on where an earlier run of the same was stopped.

    The same voxels come out of any number of processes and interruptions. Closing the generator,
    an error or a killed process leave the finished blocks for the next run; the output takes its
    name when all are there. Behind URLs, where nothing can be renamed, the arrays lie in their
    place from the beginning, but the metadata that make them an image come last.

    Parameters
    ----------
    request : InterpolationRequest
    given : Given
        Volume and model that are open already; only where blocks are computed in this process.
    beside : sequence of Beside
        Groups that are written in the result, in this process, when all blocks are done.

    Yields
    ------
    RunStarted, RunProgress, SlicesReady, BlockDone, BlockFailed, BesideProgress or RunFinished
        `RunStarted` first, `RunFinished` last.

    Raises
    ------
    TsainError
        If the input or the settings are others than those of the run that is to go on, another
        process is at it, the disk is full, or blocks failed: after all others are done.
    """
    if given is not NOTHING and request.cluster != HERE:
        raise ValueError("What is open in this process cannot be given to a cluster.")
    if beside and is_remote(locate(request.output)):
        raise ValueError("Groups beside the image are written to local results only.")
    try:
        yield from _carry_out(request, given, beside)
    except TsainError:
        raise
    except Exception as error:  # the libraries behind URLs have errors of many kinds
        if any(is_remote(locate(place)) for place in (request.source, request.output)):
            raise TsainError(
                f"{request.source} or {request.output} cannot be reached ({first_line(error)}); "
                "check network and credentials and repeat the run: finished blocks are kept."
            ) from error
        if not isinstance(error, OSError):
            raise
        remedy = cannot_write(request.output, error)
        raise TsainError(f"{remedy} Finished blocks are kept: repeat the run to go on.") from error


def _carry_out(
    request: InterpolationRequest, given: Given, beside: Sequence[Beside]
) -> Generator[Event, None, None]:
    started, policy = time.monotonic(), request.policy
    output = locate(request.output)
    _refuse_source(request, output)
    with ExitStack() as stack:
        # before anything is looked at, and until the output has its name
        lock = stack.enter_context(OutputLock(output))
        _check_output(output, policy.overwrite)
        store = RunStore(staging(output))
        if policy.restart:
            store.discard()
        executor = stack.enter_context(open_executor(request.cluster, given))
        plan = _begin_or_go_on(request, store, executor, policy.accept_changed_input, given)
        grids = plan.grids()
        done = [store.done(grid.level) for grid in grids]
        total = sum(len(grid) for grid in grids)
        there = sum(len(d) for d in done)
        yield RunStarted(plan, there, total, str(store.root), executor.dashboard)
        failed: list[tuple[Block, str]] = []
        made = 0
        for event in _levels(store, plan, executor, done, failed, policy.leave_out_failed):
            made += isinstance(event, BlockDone)
            yield event
        left_out = tuple(str(block) for block, _ in failed)
        if failed and not policy.leave_out_failed:
            raise TsainError(_what_failed(request, failed, total))
        reports = [r for grid in grids for r in store.done(grid.level).values()]
        _check_files(store, plan, {(block.level, block.index) for block, _ in failed})
        if beside:
            yield from make_beside(Path(str(store.root)), beside)
        lock.check()
        target = plan.target(given.open_volume(plan.request))
        _finish(store, plan, target, output, policy.overwrite, left_out, beside)
    yield RunFinished(
        made,
        time.monotonic() - started,
        max((int(r["peak"]) for r in reports), default=0),
        sum(int(r["without_data"]) for r in reports),
        left_out,
    )


def _refuse_source(request: InterpolationRequest, output: Location) -> None:
    if not is_remote(output):
        refuse_source(Path(str(output)), request.source)
    elif request.source and (
        request.source.rstrip("/").startswith(str(output)) or str(output).startswith(request.source)
    ):
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
    request: InterpolationRequest,
    store: RunStore,
    executor: Executor,
    accept_changed_input: bool,
    given: Given,
) -> RunPlan:
    """The plan of the run that lies there, if it is the same; else a new one."""
    old = store.plan()
    plan = executor.call(make_plan, request, given)
    if old is not None:
        old.check_same(plan, accept_changed_input)
        if plan.request.memory and old.memory_bytes > plan.request.memory:
            raise TsainError(
                "The run was begun with blocks that take about "
                f"{old.memory_bytes / 2**20:.0f} MiB: give {argument('memory')} of at "
                f"least that, or {argument('restart')}."
            )
        old = replace(old, source=plan.source)
        store.begin(old)
        return old
    if store.slices():
        raise TsainError(
            f"{request.output} was begun slice by slice, as parts of slices are repaired: finish "
            f"that run, or begin again with {argument('restart')}."
        )
    store.discard()  # what a run left that did not come as far as a plan
    create_arrays(store.root, plan.target(given.open_volume(plan.request)), plan.request.layout)
    store.begin(plan)
    return plan


def _levels(
    store: RunStore,
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
    yield RunProgress(reached / whole)
    for grid, finished in zip(grids, done, strict=True):
        if failed and not leave_out_failed:
            return
        for event in _blocks(store, plan, grid, finished, executor):
            if isinstance(event, float):
                yield RunProgress((reached + _weight(grid.level) * event) / whole)
                continue
            yield event
            if isinstance(event, BlockDone):
                reached += _weight(grid.level) * event.block.voxels
                yield RunProgress(reached / whole)
            elif isinstance(event, BlockFailed) and not event.again:
                failed.append((event.block, event.why))


def _weight(level: int) -> float:
    """What a voxel counts in progress: those of coarser levels are only averaged."""
    return 0.1 if level else 1.0


def _blocks(
    store: RunStore,
    plan: RunPlan,
    grid: BlockGrid,
    finished: Collection[int],
    executor: Executor,
) -> Iterator[float | SlicesReady | BlockDone | BlockFailed]:
    """The blocks of a level; numbers are the voxels of blocks that are not done yet."""
    attempts: Counter[int] = Counter()
    todo = (i for i in range(len(grid)) if i not in finished)
    tasks = (BlockTask(str(store.root), plan.id, grid.level, i) for i in todo)
    ready = ReadySlices(grid, finished)
    if not grid.level:
        yield SlicesReady(ready.count())
    for result in executor.run(tasks):
        if result is None:
            yield 0.0
            continue
        if not isinstance(result, BlockResult):
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
                f"{plan.request.output} cannot be written or its input not be read ({result.why}); "
                "free space, or see to the permissions, and repeat the run: finished blocks "
                "are kept."
            )
        attempts[result.index] += 1
        again = attempts[result.index] < ATTEMPTS
        if again:
            executor.add(BlockTask(str(store.root), plan.id, grid.level, result.index))
        yield BlockFailed(block, result.why, again)


def _check_files(store: RunStore, plan: RunPlan, left_out: set[tuple[int, int]]) -> None:
    """See that every file of every block is there, before the output gets its name."""
    lost = []
    for grid in plan.grids():
        there = store.files_of_level(grid.level)
        for i in range(len(grid)):
            block = grid[i]
            names = plan.request.layout.files(grid.level, grid.shape, block.slices)
            if (grid.level, i) not in left_out and not all(there(name) for name in names):
                store.unmark(block)
                lost.append(block)
    if lost:
        raise TsainError(
            f"Files of {len(lost)} finished blocks of {plan.request.output} are missing, the first "
            f"of {lost[0]}; something removed them. Repeat the run, which makes these again."
        )


def _finish(
    store: RunStore,
    plan: RunPlan,
    target: Target,
    output: Location,
    overwrite: bool,
    left_out: tuple[str, ...],
    beside: Sequence[Beside],
) -> None:
    """Give a complete output its metadata and its name."""
    if left_out:
        target.marks.provenance["left_out"] = list(left_out)
    digests = computed_digests(store.root, target, plan.request.layout)
    target = replace(target, marks=replace(target.marks, digests=digests))
    store.sweep()
    write_metadata(store.root, target, plan.request.layout)
    if not is_remote(output):
        put_in_place(Path(str(store.root)), beside, len(plan.grids()))
    open_run.cache_clear()
    if not is_remote(output):
        publish(Path(str(store.root)), Path(str(output)), overwrite, on_disk=True)
    RunStore(output).clear()


def _what_failed(request: InterpolationRequest, failed: list[tuple[Block, str]], total: int) -> str:
    shown = "; ".join(f"{block}: {why}" for block, why in failed[:_SHOWN])
    more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    return (
        f"{len(failed)} of {total} blocks of {request.output} failed ({shown}{more}); mend the "
        f"input and repeat the run with {argument('accept_changed_input')}, which makes only "
        f"these, or finish without them with {argument('leave_out_failed')}."
    )
