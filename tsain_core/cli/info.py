"""`tsain info`: what a stack is, and what interpolating it would take."""

from __future__ import annotations

import argparse
import time
from datetime import timedelta

import numpy as np

from ..cost import peak_bytes
from ..intensity import estimate_range
from ..models import NetworkModel, SliceModel, open_model, run_to_end
from ..pipeline import result_geometry
from ..schedule import Schedule, evaluations
from ..volumes import Volume
from ._options import (
    add_model_options,
    add_schedule_options,
    add_volume_options,
    inference_settings,
    make_schedule,
    read_volume,
)

EXAMPLES = """\
  tsain info stack.tif
  tsain info cremi.h5 --dataset volumes/raw --factor 4 --model tsain-lite"""

_SAMPLE = 256  # side of the pair that is timed, in pixels


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    add_volume_options(parser)
    add_schedule_options(parser)
    add_model_options(parser)


def run(args: argparse.Namespace) -> None:
    """Print a description, line by line."""
    volume = read_volume(args)
    for label, text in describe(volume):
        print(f"{label:<14}{text}")
    model = open_model(args.model, inference_settings(args))
    schedule = make_schedule(args, volume, model.any_position)
    for label, text in describe_run(volume, schedule, model):
        print(f"{label:<14}{text}")


def describe(volume: Volume) -> list[tuple[str, str]]:
    """(label, text) of what a stack is."""
    depth, height, width = volume.shape
    unit = volume.unit or "(no unit)"
    size = "not stated" if volume.voxel_size is None else _numbers(volume.voxel_size) + f" {unit}"
    lines = [
        ("format", volume.format + (f", dataset {volume.dataset}" if volume.dataset else "")),
        ("shape", f"{depth} x {height} x {width} (z, y, x), {volume.dtype}"),
        ("voxel size", f"{size} (z, y, x)" if volume.voxel_size else size),
        ("memory", f"{_bytes(volume.data.nbytes)} uncompressed"),
    ]
    if any(volume.offset):
        lines.append(("offset", f"{_numbers(volume.offset)} {unit}"))
    if volume.synthetic:
        lines.append(("synthetic", f"{len(volume.synthetic)} slices: {_list(volume.synthetic)}"))
    return lines


def describe_run(volume: Volume, schedule: Schedule, model: SliceModel) -> list[tuple[str, str]]:
    """(label, text) of what a run would do and take; times a small pair."""
    geometry = result_geometry(volume, schedule)
    runs = evaluations(schedule, model.any_position)
    depth, height, width = geometry.shape
    z = f", z voxel size {geometry.voxel_size[0]:g}" if volume.voxel_size else ""
    out_bytes = depth * height * width * volume.dtype.itemsize
    lines = [
        ("would do", f"{depth} slices, {len(schedule.synthetic)} of them synthetic{z}"),
        ("output", f"{_bytes(out_bytes)} uncompressed"),
        ("model", model.name),
    ]
    if isinstance(model, NetworkModel):
        lines.append(("device", f"{model.device}, {model.precision}"))
    seconds, tiles, side, memory = _measure(volume, model)
    lines.append(("tiles", f"{tiles} of {side} px a slice" if tiles > 1 else "whole slices"))
    if memory:
        lines.append(("memory", f"about {_bytes(memory)} for a tile"))
    total = timedelta(seconds=round(seconds * runs))
    lines.append(("time", f"about {total}, from a timed sample of {_SAMPLE} px"))
    return lines


def _measure(volume: Volume, model: SliceModel) -> tuple[float, int, int, int]:
    """(seconds a slice, tiles a slice, side of a tile, bytes of a tile) from a small pair."""
    height, width = volume.shape[1:]
    intensity = estimate_range(volume, model.percentiles)
    pair = [intensity.to_unit(volume[z]) for z in (0, 1)]
    first, second = (np.ascontiguousarray(image[:_SAMPLE, :_SAMPLE]) for image in pair)
    run_to_end(model.between(first, second))  # warms up
    start = time.perf_counter()
    run_to_end(model.between(first.copy(), second.copy()))
    seconds = (time.perf_counter() - start) * height * width / first.size
    if not isinstance(model, NetworkModel):
        return seconds, 1, max(height, width), 0
    tiles = model.plan(*pair)
    areas = [t.read.shape[0] * t.read.shape[1] for t in tiles]
    largest = max(tiles, key=lambda t: t.read.shape[0] * t.read.shape[1])
    memory = peak_bytes(model.network.settings, *largest.read.shape, model.precision == "bf16")
    assert model.tile is not None
    return seconds * sum(areas) / (height * width), len(tiles), model.tile, memory


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{v:g}" for v in values)


def _list(values: tuple[int, ...], most: int = 12) -> str:
    shown = ", ".join(str(v) for v in values[:most])
    return shown if len(values) <= most else f"{shown}, ..."


def _bytes(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"
