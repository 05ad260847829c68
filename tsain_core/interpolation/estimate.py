"""What a run would take, from a small pair of slices that is timed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..inference.intensity import estimate_range
from ..inference.models import SliceModel, run_to_end
from ..volumes import Volume
from .interpolate import slice_between
from .schedule import Schedule, evaluations

#: Side of the pair that is timed, in pixels.
SAMPLE = 256


@dataclass(frozen=True)
class SliceCost:
    """What one run of a model on a pair of slices takes.

    Attributes
    ----------
    seconds : float
    tiles : int
        Tiles that a slice is cut into.
    tile : int
        Side of a tile in pixels.
    memory : int
        Bytes for the largest tile; 0 where it is not worth mentioning.
    """

    seconds: float
    tiles: int
    tile: int
    memory: int


@dataclass(frozen=True)
class RunCost:
    """What a whole run takes: seconds, bytes of the result uncompressed, and cost of a slice."""

    seconds: float
    output_bytes: int
    one: SliceCost


def run_cost(volume: Volume, schedule: Schedule, model: SliceModel) -> RunCost:
    """Estimate a run; takes as long as two small pairs."""
    one = slice_cost(volume, model)
    _, height, width = volume.shape
    output = len(schedule.slices) * height * width * volume.dtype.itemsize
    return RunCost(one.seconds * evaluations(schedule, model.any_position), output, one)


def slice_cost(volume: Volume, model: SliceModel) -> SliceCost:
    """Time a pair of `SAMPLE` x `SAMPLE` pixels, and scale it to the volume's slices."""
    height, width = volume.shape[1:]
    intensity = estimate_range(volume, model.scaling)
    pair = [intensity.to_unit(volume[z]) for z in (0, 1)]
    first, second = (np.ascontiguousarray(image[:SAMPLE, :SAMPLE]) for image in pair)
    run_to_end(slice_between(model, first, second))  # warms up
    start = time.perf_counter()
    run_to_end(slice_between(model, first.copy(), second.copy()))
    seconds = (time.perf_counter() - start) * height * width / first.size
    tiled = model.tiled
    if tiled is None:
        return SliceCost(seconds, 1, max(height, width), 0)
    tiles = tiled.plan(*pair)
    areas = [t.read.shape[0] * t.read.shape[1] for t in tiles]
    largest = max(tiles, key=lambda t: t.read.shape[0] * t.read.shape[1])
    memory = tiled.pass_bytes(*largest.read.shape)
    assert tiled.tile is not None
    return SliceCost(seconds * sum(areas) / (height * width), len(tiles), tiled.tile, memory)


def format_bytes(count: float) -> str:
    """A number of bytes for people: "3.1 GiB"."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"
