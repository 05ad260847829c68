"""Options of blockwise runs, and their progress."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Generator
from contextlib import closing
from typing import Any

from ..blockwise import (
    BesideProgress,
    BlockDone,
    BlockFailed,
    RunFinished,
    RunProgress,
    RunStarted,
)
from ..blockwise.plan import describe
from ..interpolation.estimate import format_bytes
from ..interpolation.request import MOST_THREADS, MOST_WORKERS
from ..volumes.zarr_layout import default_version
from . import _progress as screen
from ._numbers import integer, memory

logger = logging.getLogger(__name__)


def add_layout_options(parser: argparse.ArgumentParser) -> None:
    """How an OME-Zarr is stored, and how much memory making it may take."""
    group = parser.add_argument_group("for OME-Zarr results, which are made block by block")
    group.add_argument(
        "--memory", type=memory, metavar="1.5GiB", help="most memory of each process"
    )
    sizes: dict[str, Any] = {"nargs": 3, "type": integer(1), "metavar": ("Z", "Y", "X")}
    group.add_argument(
        "--threads", type=integer(1, MOST_THREADS), help="of each process on CPU; the same for all"
    )
    group.add_argument("--chunks", **sizes, default=(1, 512, 512), help="compressed together")
    group.add_argument("--shards", **sizes, help="in one file; multiples of the chunks")
    group.add_argument(
        "--ome-zarr", choices=("0.4", "0.5"), default=default_version(), help="version to write"
    )
    group.add_argument("--no-pyramid", action="store_true", help="full resolution only")


def add_compression_option(parser: argparse.ArgumentParser) -> None:
    """How hard results are compressed."""
    parser.add_argument(
        "--compression",
        type=integer(0, 9),
        metavar="LEVEL",
        help="0 (none) to 9 (smallest, slowest), of zlib in TIFF and HDF5 and of zstd in Zarr; "
        "default: 6 in TIFF, 1 in HDF5, 3 in Zarr",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Where blocks are computed, and what becomes of earlier runs."""
    group = parser.add_argument_group("running block by block")
    group.add_argument(
        "--workers",
        type=integer(1, MOST_WORKERS),
        default=0,
        help="processes on this machine; default: only this one",
    )
    group.add_argument(
        "--dask", metavar="ADDRESS", help="a Dask scheduler: tcp://host:8786, or its scheduler file"
    )
    group.add_argument(
        "--restart", action="store_true", help="forget what an unfinished run has left"
    )
    group.add_argument(
        "--leave-out-failed",
        action="store_true",
        help="finish although blocks failed: they hold the fill value, and the result says which",
    )
    group.add_argument(
        "--accept-changed-input",
        action="store_true",
        help="go on with a run although damaged parts of the input were mended",
    )


def follow(events: Generator[Any, None, None], output: str) -> None:
    """Draw progress, and tell what happens."""
    form = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
    quiet = 0.1 if sys.stderr.isatty() else 10
    with closing(events), screen.bar(total=1.0, bar_format=form, mininterval=quiet) as bar:
        blocks = 0
        for event in events:
            if isinstance(event, RunStarted):
                logger.info("%s: %s", output, describe(event.plan))
                if event.done:
                    logger.info("Going on: %d of %d blocks are done.", event.done, event.total)
                if event.dashboard:
                    logger.info("Dask: %s", event.dashboard)
                blocks, bar.initial = event.done, bar.n
            elif isinstance(event, RunProgress):
                bar.update(max(0.0, event.done - bar.n))
            elif isinstance(event, BlockDone):
                blocks += 1
                bar.set_postfix_str(f"block {blocks}", refresh=False)
            elif isinstance(event, BlockFailed):
                then = "trying again" if event.again else "giving it up"
                logger.warning("Block %s: %s; %s", event.block, event.why, then)
            elif isinstance(event, BesideProgress):
                bar.set_postfix_str(f"{event.name} {event.done}/{event.total}", refresh=False)
                bar.update(0)
            elif isinstance(event, RunFinished):
                bar.update(1.0 - bar.n)
                _tell(event, output)


def _tell(done: RunFinished, output: str) -> None:
    logger.info(
        "%s is complete: %d blocks in %.0f s, %s of memory at most",
        output,
        done.blocks,
        done.seconds,
        format_bytes(done.peak),
    )
    if done.without_data:
        logger.warning(
            "%d computed voxels have no value: both real slices are NaN or infinite there, or a "
            "chunk that they would be computed from was never written or holds only fill values.",
            done.without_data,
        )
    if done.left_out:
        logger.warning("Left out, and noted in the result: %s", "; ".join(done.left_out))
