"""What a blockwise run would take, from a sample of it that is really computed and written."""

from __future__ import annotations

import heapq
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np

from ..inference.models import run_to_end
from ..inference.region import Region
from ..system.memory import peak_memory
from ..volumes.volume import Shape
from ..volumes.zarr_layout import create_arrays
from .block_worker import OpenRun, coarsen, compute
from .blocks import Block
from .plan import RunPlan
from .run_store import RunStore
from .window import window

_SIDE = 1024  # pixels of the part of a block that is timed where a whole one takes too long
_SECONDS = 20.0  # that the longer of the two samples may take, about
_REPEATS = 5  # of samples that take little time: others use the machine and its disk as well
_SCATTER = 0.05  # of the time that a block takes, standard deviation
_MOST_SIMULATED = 50_000  # blocks; more behave as these do


@dataclass(frozen=True)
class TimedBlocks:
    """What was measured on this machine, in one process.

    Attributes
    ----------
    startup : float
        Seconds until the first block can begin: opening, compiling.
    per_block : float
        Seconds that a block takes whatever its depth.
    per_voxel : float
        Seconds for each voxel of the output.
    reading, writing : float
        Shares of the time of a block in which something was read and written; both go on while
        the next slice is computed.
    read, written : float
        Bytes for each voxel of the output; written ones as they are on disk.
    coarsening : float
        Seconds for each voxel of a coarser level.
    load : float
        Cores that were busy meanwhile: threads read, write and compress while others compute.
    peak : int
        Most bytes of memory of this process.
    """

    startup: float
    per_block: float
    per_voxel: float
    reading: float
    writing: float
    read: float
    written: float
    coarsening: float
    load: float
    peak: int


@dataclass(frozen=True)
class Forecast:
    """What a run would take with some workers.

    Attributes
    ----------
    workers : int
    seconds : float
    busy : float
        Share of the workers' time in which they compute.
    read_rate, write_rate : float
        Bytes a second that the storage has to deliver and take, as stored.
    limit : str
        "computing", "reading", "writing" or "too few blocks".
    """

    workers: int
    seconds: float
    busy: float
    read_rate: float
    write_rate: float
    limit: str

    @property
    def worker_hours(self) -> float:
        """Hours of all workers together."""
        return self.seconds * self.workers / 3600


def measure(plan: RunPlan, folder: Path | None = None) -> TimedBlocks:
    """Compute and write a block with few and with more slices, or a part of one if it is slow.

    Parameters
    ----------
    plan : RunPlan
    folder : Path, optional
        On the disk that the output goes to; a temporary one by default. What is written there is
        removed again.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=".tsain-sample-", dir=folder) as name:
        root = Path(name)
        volume, model = plan.request.open_volume(), plan.open_model()
        create_arrays(root, plan.target(volume), plan.request.layout)
        run = OpenRun(RunStore(root), plan, volume, model, plan.schedule(volume))
        region, whole = _part(plan), plan.grids()[0][0].region
        unit = plan.request.layout.file_shape(plan.shape)[0]
        deep = min(max(unit, _least_deep(plan)), plan.shape[0])
        _timed(run, Block(0, 0, 0, deep, region))  # compiles
        startup = time.perf_counter() - started
        short = _timed(run, Block(0, 0, 0, deep, region))
        startup = max(0.0, startup - short["seconds"])
        scale = _work(run, whole) / _work(run, region)
        if 2 * short["seconds"] * scale < _SECONDS:
            region, scale = whole, 1.0  # costs of each slice and file are then those of the run
            short = _usual(run, Block(0, 0, 0, deep, region))
        longest = max(2, min(16, int(_SECONDS / max(short["seconds"], 1e-3))))
        more = min(ceil(longest * deep / unit) * unit, plan.block[0], plan.shape[0])
        last = Block(0, 0, 0, max(more, deep), region)
        report = _usual(run, last) if last.z1 > deep else short
        slices = (deep, last.z1)
        size = sum(p.stat().st_size for p in (root / "0").rglob("*") if p.is_file())
        coarse = _coarse_seconds(run, last) if len(plan.grids()) > 1 else 0.0
    gained = report["seconds"] - short["seconds"]
    if slices[1] > slices[0] and gained > 0:
        per_slice = gained / (slices[1] - slices[0])
        fixed = max(0.0, short["seconds"] - per_slice * slices[0])
    else:
        per_slice, fixed = report["seconds"] / slices[1], 0.0
    voxels, full = prod(region.shape), prod(whole.shape)
    return TimedBlocks(
        startup,
        fixed * scale,
        per_slice * scale / full,
        min(1.0, report["reading"] / report["seconds"]),
        min(1.0, report["writing"] / report["seconds"]),
        report["read"] / (voxels * last.z1) * _input_ratio(plan),
        size / (voxels * last.z1),
        coarse,
        report["cpu"] / report["seconds"],
        peak_memory(),
    )


def _usual(run: OpenRun, block: Block) -> dict[str, Any]:
    """The median of some reports of a block, or one if it takes long."""
    reports: list[dict[str, Any]] = []
    while len(reports) < _REPEATS and sum(r["seconds"] for r in reports) < _SECONDS / 2:
        reports.append(_timed(run, block))
    return sorted(reports, key=lambda r: float(r["seconds"]))[len(reports) // 2]


def _timed(run: OpenRun, block: Block) -> dict[str, Any]:
    work = coarsen(run, block) if block.level else compute(run, block)
    report: dict[str, Any] = run_to_end(work)
    started = time.perf_counter()
    run.store.mark(block, report, run.files(block))  # which waits for the disk
    report["seconds"] += time.perf_counter() - started
    return report


def _part(plan: RunPlan) -> Region:
    """A part of a block, of whole tiles and files."""
    _, height, width = plan.shape
    tile = plan.tile or 1
    sides = []
    for extent, file, whole in zip(
        plan.block[1:], plan.request.layout.file_shape(plan.shape)[1:], (height, width), strict=True
    ):
        unit = int(np.lcm(tile, file)) if tile < whole else extent
        sides.append(min(whole, extent, max(unit, _SIDE // unit * unit)))
    return Region(0, 0, sides[0], sides[1])


def _least_deep(plan: RunPlan) -> int:
    """Slices of the output of two gaps: the second finds its first slice's features ready."""
    z = plan.shape[0]
    return max(1, min(z, 2 * ceil(z / max(1, plan.source["shape"][0] - 1))))


def _work(run: OpenRun, region: Region) -> float:
    """What a region costs, in pixels that the model sees."""
    table = run.generations
    shape = (run.volume.shape[1], run.volume.shape[2])
    part = window(run.model, shape, region, max(table.values(), default=0), run.plan.tiling)
    if not part.rings:
        return float(prod(part.read.shape))
    count = {g: list(table.values()).count(g) for g in range(len(part.rings))}
    return float(
        sum(count[g] * prod(t.read.shape) for g, tiles in enumerate(part.rings) for t in tiles)
    )


def _input_ratio(plan: RunPlan) -> float:
    """Bytes of the source's files over its voxels' bytes; 1 where that is not known."""
    size = plan.source.get("bytes")
    whole = prod(plan.source["shape"]) * np.dtype(plan.source["dtype"]).itemsize
    return float(size) / whole if size else 1.0


def _coarse_seconds(run: OpenRun, fine: Block) -> float:
    """Seconds for each voxel of the second level, from what was just written."""
    r = fine.region
    block = Block(1, 0, 0, fine.z1, Region(0, 0, r.y1 // 2, r.x1 // 2))
    return float(_usual(run, block)["seconds"]) / block.voxels


def forecast(
    plan: RunPlan,
    sample: TimedBlocks,
    workers: int,
    *,
    shape: Shape | None = None,
    faster: float = 1.0,
    bandwidth: float | None = None,
    cores: int | None = None,
) -> Forecast:
    """Simulate a run: workers take block after block, and share the storage.

    Parameters
    ----------
    plan : RunPlan
    sample : TimedBlocks
    workers : int
        Each as fast as the process of the sample.
    shape : (z, y, x), optional
        Of another output that is cut into the same blocks: a volume on paper.
    faster : float
        How many times as fast as the sample the workers compute.
    bandwidth : float, optional
        Bytes a second that the storage delivers and takes, for all workers together.
    cores : int, optional
        Cores of the machine that all workers share; None gives each a machine of its own.
    """
    grids = plan.grids()
    if shape is not None:
        grids = replace(plan, shape=shape).grids()
    seconds, computing = sample.startup, 0.0
    reading = writing = 0.0
    few = len(grids[0]) < 2 * workers
    crowded = max(1.0, sample.load * workers / cores) if cores else 1.0
    for grid in grids:
        voxels = prod(grid.shape) / len(grid)
        if grid.level:
            alone = voxels * sample.coarsening
            read, written = 4 * voxels * sample.written, voxels * sample.written
        else:
            own = sample.per_block + voxels * sample.per_voxel
            transfer = own * max(sample.reading, sample.writing)
            alone = max(own / faster, transfer)  # faster computing does not read faster
            computing += own / faster * len(grid)
            read, written = voxels * sample.read, voxels * sample.written
        reading += read * len(grid)
        writing += written * len(grid)
        active = min(workers, len(grid))
        storage = (read + written) * active / bandwidth if bandwidth else 0.0
        seconds += _makespan(len(grid), workers, max(alone * crowded, storage))
    rates = reading / seconds, writing / seconds
    limit = _limit(sample, faster, bandwidth, sum(rates), few)
    busy = computing / (seconds * workers)
    return Forecast(workers, seconds, min(1.0, busy), *rates, limit)


def _limit(
    sample: TimedBlocks, faster: float, bandwidth: float | None, rate: float, few: bool
) -> str:
    slower = "reading" if sample.reading >= sample.writing else "writing"
    if bandwidth and rate > 0.9 * bandwidth:
        return slower
    if few:
        return "too few blocks"
    return slower if max(sample.reading, sample.writing) * faster > 1 else "computing"


def _makespan(blocks: int, workers: int, seconds: float) -> float:
    """When the last of many blocks is done, if each worker takes the next as soon as it is free."""
    simulated = min(blocks, max(_MOST_SIMULATED, 4 * workers))
    random = np.random.default_rng(0)
    lengths = seconds * np.exp(random.normal(0.0, _SCATTER, simulated))
    free = [0.0] * min(workers, simulated)
    for length in lengths:
        heapq.heapreplace(free, free[0] + float(length))
    return max(free) * blocks / simulated


def compare(
    plan: RunPlan, sample: TimedBlocks, workers: Sequence[int], **options: Any
) -> list[Forecast]:
    """Forecasts for several numbers of workers."""
    return [forecast(plan, sample, n, **options) for n in workers]
