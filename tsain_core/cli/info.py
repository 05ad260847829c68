"""`tsain info`: what a stack is, and what interpolating it would take."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from ..blockwise.planning import make_plan
from ..errors import TsainError
from ..inference.models import SliceModel, open_model
from ..interpolation.estimate import SAMPLE, format_bytes, run_cost
from ..interpolation.schedule import Schedule
from ..interpolation.to_file import result_geometry
from ..volumes import Volume
from ..volumes.volume import VoxelSize
from . import _progress as screen
from ._blockwise import add_compression_option, add_layout_options
from ._check import AUTO, add_check_option, check_lines
from ._options import (
    add_model_options,
    add_part_options,
    add_schedule_options,
    add_volume_options,
    read_volume,
)
from ._request import request_of
from .wording import as_option

EXAMPLES = """\
  tsain info stack.tif
  tsain info cremi.h5 --dataset volumes/raw --factor 4 --model tsain-lite"""

_NOWHERE = "result.zarr"  # is not written


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    add_volume_options(parser)
    add_part_options(parser)
    add_schedule_options(parser)
    add_model_options(parser, AUTO)
    parser.add_argument(
        "--range", nargs=2, type=float, metavar=("LO", "HI"), help=argparse.SUPPRESS
    )
    add_layout_options(parser)
    add_compression_option(parser)
    add_check_option(parser)
    screen.add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    """Print a description, line by line."""
    volume = read_volume(args)
    known = describe(volume)
    if not args.json:
        _table(known)
    name, lines = check_lines(args, volume)
    args.model = name
    request = request_of(args, _NOWHERE)
    settings = request.inference
    try:
        plan = None if settings.adjusts else make_plan(request)
    except TsainError as error:  # the rest can be said all the same
        memory = f"not enough for a run: {error.worded(as_option)}"
    else:
        memory = "whole slices are computed at once"
        if plan is not None:
            memory = f"about {format_bytes(plan.memory_bytes)} for each process"
            settings = replace(settings, tile=plan.tile, halo=plan.halo)
    model = open_model(name, settings)
    schedule = request.schedule(volume, model.any_position)
    known = [*describe_run(volume, schedule, model, memory), *lines]
    if args.json:
        screen.say_json(dict([*describe(volume), *known]))
    else:
        _table(known)


def _table(lines: Iterable[tuple[str, str]]) -> None:
    for label, text in lines:
        screen.say(f"{label:<14}{text}")


def describe(volume: Volume) -> list[tuple[str, str]]:
    """(label, text) of what a stack is."""
    depth, height, width = volume.shape
    unit = volume.unit or "(no unit)"
    size = "not stated" if volume.voxel_size is None else _sides(volume.voxel_size) + f" {unit}"
    lines = [
        ("format", volume.format + (f", dataset {volume.dataset}" if volume.dataset else "")),
        ("shape", f"{depth} x {height} x {width} (z, y, x), {volume.dtype}"),
        ("voxel size", f"{size} (z, y, x)" if volume.voxel_size else size),
        ("size", f"{format_bytes(volume.data.nbytes)} uncompressed"),
    ]
    if any(volume.offset):
        lines.append(("offset", f"{_numbers(volume.offset)} {unit}"))
    if "://" in volume.source:
        lines.append(("missing data", "not looked for: listing a remote store takes long"))
    if volume.synthetic:
        lines.append(("synthetic", f"{len(volume.synthetic)} slices: {_list(volume.synthetic)}"))
    if volume.partial:
        known = [part.pixels for part in volume.partial.values()]
        total = sum(pixels or 0 for pixels in known)
        count = f", {total} pixels" if None not in known else ""
        places = _list(tuple(sorted(volume.partial)))
        lines.append(("part computed", f"{len(known)} slices: {places}{count}"))
    return lines


def describe_run(
    volume: Volume, schedule: Schedule, model: SliceModel, memory: str
) -> list[tuple[str, str]]:
    """(label, text) of what a run would do and take; times a small pair.

    `memory` is what a run to an OME-Zarr takes, as `tsain plan` says it.
    """
    geometry = result_geometry(volume, schedule)
    cost = run_cost(volume, schedule, model)
    side = geometry.voxel_size[0] if geometry.voxel_size else None
    z = f", z voxel size {side:g}" if side is not None else ""
    lines = [
        ("would do", f"{geometry.shape[0]} slices, {len(schedule.synthetic)} of them synthetic{z}"),
        ("output", f"{format_bytes(cost.output_bytes)} uncompressed"),
        ("model", model.name),
    ]
    if model.tiled is not None:
        lines.append(("device", model.execution))
    one = cost.one
    lines.append(
        ("tiles", f"{one.tiles} of {one.tile} px a slice" if one.tiles > 1 else "whole slices")
    )
    lines.append(("memory", memory))
    total = timedelta(seconds=round(cost.seconds))
    lines.append(("time", f"about {total}, from a timed sample of {SAMPLE} px"))
    return lines


def _sides(values: VoxelSize) -> str:
    return ", ".join("not stated" if v is None else f"{v:g}" for v in values)


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{v:g}" for v in values)


def _list(values: tuple[int, ...], most: int = 12) -> str:
    shown = ", ".join(str(v) for v in values[:most])
    return shown if len(values) <= most else f"{shown}, ..."
