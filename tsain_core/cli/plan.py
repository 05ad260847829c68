"""`tsain plan`: what a run block by block would take, before it is paid for."""

from __future__ import annotations

import argparse
from datetime import timedelta
from math import prod
from pathlib import Path

import numpy as np

from ..blockwise.forecast import Forecast, TimedBlocks, compare, measure
from ..blockwise.plan import RunPlan
from ..blockwise.planning import make_plan
from ..errors import TsainError
from ..interpolation.estimate import format_bytes
from . import _progress as screen
from ._blockwise import add_compression_option, add_layout_options
from ._check import AUTO, add_mix_option
from ._numbers import integer, memory, real
from ._options import (
    add_model_options,
    add_part_options,
    add_schedule_options,
    add_volume_options,
)
from ._request import request_of

EXAMPLES = """\
  tsain plan big.zarr --factor 4                              here, and on 1 to 1000 workers
  tsain plan big.zarr --output /scratch/x.zarr --memory 4GiB  on the disk of the output
  tsain plan part.zarr --on-paper 25000 65536 65536 --faster 60 --bandwidth 5GiB --price 2.5
                                                              a larger volume, faster workers"""

_WORKERS = (1, 2, 10, 100, 1000)
_MOST_WORKERS = 100_000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    add_volume_options(parser)
    add_part_options(parser)
    parser.add_argument("--output", help="where the result would go: its disk is timed")
    add_schedule_options(parser)
    add_model_options(parser, AUTO)
    add_mix_option(parser)
    parser.add_argument(
        "--range", nargs=2, type=float, metavar=("LO", "HI"), help=argparse.SUPPRESS
    )
    add_layout_options(parser)
    add_compression_option(parser)
    group = parser.add_argument_group("what if")
    group.add_argument(
        "--workers", type=integer(1, _MOST_WORKERS), nargs="+", default=_WORKERS, help="to compare"
    )
    group.add_argument(
        "--on-paper",
        type=integer(1),
        nargs=3,
        metavar=("Z", "Y", "X"),
        help="a source of this shape",
    )
    group.add_argument(
        "--faster", type=real(), default=1.0, help="workers compute this many times as fast as here"
    )
    group.add_argument(
        "--bandwidth", type=memory, metavar="5GiB", help="a second, of the whole storage"
    )
    group.add_argument(
        "--cores", type=integer(1), help="of one machine that all workers share; default: one each"
    )
    group.add_argument("--price", type=real(open_at_least=False), help="of an hour of a worker")


def run(args: argparse.Namespace) -> None:
    """Measure a sample, and print the forecast."""
    output = args.output or f"{args.input.rstrip('/')}-planned.zarr"
    plan = make_plan(request_of(args, output))
    folder = (
        Path(args.output).resolve().parent if args.output and "://" not in args.output else None
    )
    if folder and not folder.is_dir():
        raise TsainError(f"There is no folder {folder}; make it, or choose another --output.")
    sample = measure(plan, folder)
    shape = None
    if args.on_paper:
        z, y, x = args.on_paper
        depth = max(
            1, round((z - 1) * (plan.shape[0] - 1) / max(1, plan.source["shape"][0] - 1)) + 1
        )
        shape = (depth, y, x)
    for label, text in describe(plan, sample, shape or plan.shape):
        screen.say(f"{label:<14}{text}")
    forecasts = compare(
        plan,
        sample,
        args.workers,
        shape=shape,
        faster=args.faster,
        bandwidth=args.bandwidth,
        cores=args.cores,
    )
    screen.say()
    screen.say(table(forecasts, args.price))


def describe(
    plan: RunPlan, sample: TimedBlocks, shape: tuple[int, int, int]
) -> list[tuple[str, str]]:
    """(label, text) of how a run is cut, and of what its sample took."""
    voxels = prod(shape)
    blocks = sum(len(grid) for grid in plan.grids()[:1])
    share = voxels / prod(plan.shape)
    item = np.dtype(plan.source["dtype"]).itemsize
    pyramid = 4 / 3 if len(plan.grids()) > 1 else 1.0
    size = " x ".join(str(n) for n in plan.block)
    return [
        ("output", " x ".join(str(n) for n in shape) + f" voxels, {format_bytes(voxels * item)}"),
        ("on disk", f"about {format_bytes(voxels * sample.written * pyramid)}, compressed"),
        ("blocks", f"{round(blocks * share)} of {size}"),
        ("memory", f"about {format_bytes(plan.memory_bytes)} for each process"),
        ("model", f"{plan.model_id['model']} on {plan.model_id['device']}"),
        (
            "sample",
            f"{sample.per_voxel * 1e9:.0f} ns a voxel and {sample.per_block:.2g} s a block, "
            f"{sample.reading:.0%} of it reading and {sample.writing:.0%} writing meanwhile, "
            f"{sample.load:.1f} cores busy",
        ),
    ]


def table(forecasts: list[Forecast], price: float | None) -> str:
    """The forecasts as text."""
    heads = ["workers", "time", "worker hours", "computing", "reads", "writes", "limited by"]
    rows = [
        [
            str(f.workers),
            str(timedelta(seconds=round(f.seconds))),
            f"{f.worker_hours:.3g}",
            f"{f.busy:.0%}",
            f"{format_bytes(f.read_rate)}/s",
            f"{format_bytes(f.write_rate)}/s",
            f.limit,
        ]
        for f in forecasts
    ]
    if price is not None:
        heads.insert(3, "cost")
        for row, f in zip(rows, forecasts, strict=True):
            row.insert(3, f"{f.worker_hours * price:.2f}")
    widths = [max(len(r[i]) for r in (heads, *rows)) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True))
        for row in (heads, *rows)
    )
