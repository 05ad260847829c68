"""Streamed runs: memory, time a voxel from small to large, forecast and measurement, workers.

    python benchmarks/blockwise.py                                   64 MiB to 4 GiB, 20 minutes
    python benchmarks/blockwise.py --sizes 64 256 --network-size 0   quicker

Volumes are tiled from the generated EM stack, 2048 x 2048 pixels a slice in chunks of 8 x 256 x
256, and doubled from OME-Zarr to OME-Zarr with a pyramid. The mean of neighbours stands for a model
that costs nothing, so reading and writing are measured; tsain-lite doubles 64 MiB. Each run is a
process of its own; seconds count from the plan to the finished result, those of a voxel and of
workers from the end of the first block, which opens and compiles. The largest resident set of any
process is compared with the bound, the time with what `tsain plan` said beforehand, and
results of up to 256 MiB with those computed in memory; those of workers with the first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from common import hardware, print_head, print_row

from tsain_core.blockwise import (
    BlockDone,
    Cluster,
    InterpolationRequest,
    RunFinished,
    RunPlan,
    interpolate_blockwise,
    make_plan,
)
from tsain_core.blockwise.forecast import TimedBlocks, forecast, measure
from tsain_core.inference.models import open_model
from tsain_core.interpolation.interpolate import SliceReady, interpolate
from tsain_core.interpolation.schedule import by_factor
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.volumes import open_volume
from tsain_core.volumes.zarr_layout import ZarrLayout, default_version

_SIDE = 2048
_BOUND = 1.5 * 2**30
LAYOUT = ZarrLayout(default_version())


@dataclass(frozen=True)
class Run:
    """What a run took: seconds, bytes of memory, seconds after its first block, voxels of that."""

    seconds: float
    peak: int
    rest: float
    first: int


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256, 1024, 4096], help="MiB")
    parser.add_argument("--network-size", type=int, default=64, help="MiB for tsain-lite; 0: none")
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(*args.one)
        return
    print(hardware(torch.device("cpu")), "\n")
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        sizes(folder, args.sizes)
        workers(folder, args.sizes[-2:][0])
        if args.network_size:
            network(folder, args.network_size)


def sizes(folder: Path, mebibytes: list[int]) -> None:
    """Time a voxel and memory over the size of the volume."""
    print("Mean of neighbours, one process, one thread, bound 1.5 GiB\n")
    print_head("input MiB", "seconds", "forecast", "ns a voxel", "ratio", "peak MiB", "in memory")
    first = None
    for size in mebibytes:
        source = volume(folder, size)
        said = forecast(*planned(source, "mean", 1), workers=1).seconds
        took = run(source, folder / "out.zarr", "mean", 1)
        voxels = int(np.prod(open_volume(folder / "out.zarr").shape))
        each = took.rest / (voxels - took.first) * 1e9
        first = first or each
        same = identical(source, folder / "out.zarr") if size <= 256 else "too large"
        print_row(
            size,
            f"{took.seconds:.1f}",
            f"{said:.1f}",
            f"{each:.1f}",
            f"{each / first:.2f}",
            mib(took.peak),
            same,
        )
        shutil.rmtree(folder / "out.zarr")
        if size != mebibytes[0]:
            shutil.rmtree(source)
    print()


def workers(folder: Path, size: int) -> None:
    """One worker against two, and what the simulation says."""
    print("Workers of one thread each, mean of neighbours\n")
    print_head("workers", "seconds", "forecast", "speed-up", "forecast")
    source = volume(folder, size)
    plan, sample = planned(source, "mean", 1)
    cores = os.cpu_count()
    said = [forecast(plan, sample, n, cores=cores).seconds for n in (1, 2)]
    measured = []
    for n in (1, 2):
        took = run(source, folder / "out.zarr", "mean", 1, n)
        measured.append(took.rest)
        shutil.rmtree(folder / "out.zarr")
        print_row(
            n,
            f"{measured[-1]:.1f}",
            f"{said[n - 1]:.1f}",
            f"{measured[0] / measured[-1]:.2f}",
            f"{said[0] / said[n - 1]:.2f}",
        )
    print()


def network(folder: Path, size: int) -> None:
    """The network within its bound, alone and on two workers."""
    print("tsain-lite, bound 1.5 GiB a process\n")
    print_head("workers", "threads", "seconds", "forecast", "ns a voxel", "peak MiB", "same voxels")
    source = volume(folder, size)
    kept = folder / "one.zarr"
    for n, threads in ((1, 2), (1, 1), (2, 1)):
        out = kept if (n, threads) == (1, 2) else folder / "out.zarr"
        plan, sample = planned(source, "tsain-lite", threads)
        said = forecast(plan, sample, n, cores=os.cpu_count()).seconds
        took = run(source, out, "tsain-lite", threads, n if n > 1 else 0)
        voxels = np.prod(open_volume(out).shape)
        each = f"{took.seconds / voxels * 1e9:.0f}"
        same = differing(out, kept) if out != kept else in_memory(plan, out)
        print_row(n, threads, f"{took.seconds:.1f}", f"{said:.1f}", each, mib(took.peak), same)
        if out != kept:
            shutil.rmtree(out)


def volume(folder: Path, mebibytes: int) -> Path:
    """A Zarr of this many MiB, uint8."""
    import zarr

    path = folder / f"stack-{mebibytes}.zarr"
    if path.exists():
        return path
    tile = np.tile(em_phantom((8, 512, 512), seed=1), (1, _SIDE // 512, _SIDE // 512))
    shape = (mebibytes * 2**20 // _SIDE**2, _SIDE, _SIDE)
    array = zarr.open_array(str(path), mode="w", shape=shape, chunks=(8, 256, 256), dtype="u1")
    for z in range(0, shape[0], 8):
        array[z : z + 8] = np.roll(tile, z, axis=1)[: shape[0] - z]
    return path


def planned(source: Path, model: str, threads: int) -> tuple[RunPlan, TimedBlocks]:
    """(plan, sample) as `tsain plan` makes them."""
    request = InterpolationRequest(
        str(source), "x.zarr", model=model, layout=LAYOUT, memory=int(_BOUND), threads=threads
    )
    plan = make_plan(request)
    return plan, measure(plan, source.parent)


def run(source: Path, output: Path, model: str, threads: int, workers: int = 0) -> Run:
    """A run in a process of its own."""
    words = [str(source), str(output), model, str(threads), str(workers)]
    command = [sys.executable, __file__, "--one", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return Run(*json.loads(done.stdout.splitlines()[-1]))


def one(source: str, output: str, model: str, threads: str, workers: str) -> None:
    """A run in this process; prints what it took."""
    request = InterpolationRequest(
        source,
        output,
        model=model,
        memory=int(_BOUND),
        threads=int(threads),
        layout=LAYOUT,
        cluster=Cluster(int(workers)),
    )
    events = interpolate_blockwise(request)
    next(events)
    started = time.perf_counter()
    opened, first = 0.0, 0
    for event in events:
        if isinstance(event, BlockDone) and not first:
            opened, first = time.perf_counter() - started, event.block.voxels
        if isinstance(event, RunFinished):
            seconds = time.perf_counter() - started
            print(json.dumps([seconds, event.peak, seconds - opened, first]))


def mib(count: float) -> str:
    """Bytes as MiB."""
    return f"{count / 2**20:.0f}"


def identical(source: Path, output: Path) -> str:
    """Whether the result is what is computed in memory, slice for slice."""
    volume, result = open_volume(source), open_volume(output)
    events = interpolate(volume, by_factor(volume.shape[0], 2), open_model("mean"))
    images = (event for event in events if isinstance(event, SliceReady))
    return "same" if all((result[e.index] == e.image).all() for e in images) else "DIFFERENT"


def in_memory(plan: RunPlan, output: Path) -> str:
    """How many voxels differ from those that the same plan gives slice by slice, in memory."""
    source, result = plan.request.open_volume(), open_volume(output)
    events = interpolate(source, plan.schedule(source), plan.open_model(), plan.intensity)
    images = (event for event in events if isinstance(event, SliceReady))
    count = sum(int(np.count_nonzero(result[e.index] != e.image)) for e in images)
    return "same" if not count else f"{count} differ"


def differing(one: Path, other: Path) -> str:
    """How many voxels of two results differ."""
    a, b = open_volume(one), open_volume(other)
    count = sum(int(np.count_nonzero(a[z] != b[z])) for z in range(a.shape[0]))
    return "same" if not count else f"{count} differ"


if __name__ == "__main__":
    main()
