"""What a run block by block tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .beside import BesideProgress
from .blocks import Block
from .plan import RunPlan


@dataclass(frozen=True)
class RunStarted:
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
class RunProgress:
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
class RunFinished:
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


Event = (
    RunStarted | RunProgress | SlicesReady | BlockDone | BlockFailed | BesideProgress | RunFinished
)
