"""From a request to a plan: how large blocks and tiles may be in the available memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, prod
from typing import Any

import torch

from ..errors import TsainError
from ..inference.intensity import IntensityRange
from ..inference.models import Image, SliceModel, TiledModel, cutting_model, run_to_end
from ..inference.nonfinite import fill_pair
from ..inference.region import Region
from ..inference.tiles import tile_image
from ..interpolation.request import CAREFUL, HERE, InterpolationRequest
from ..interpolation.schedule import Schedule
from ..stack_check import settle_model
from ..system.memory import available_memory, keeping_freed_memory, resident_memory
from ..system.threads import computing_threads
from ..volumes import Volume
from ..volumes.volume import Shape
from .blocks import choose_block
from .fingerprint import fingerprint
from .plan import NOTHING, Given, RunPlan
from .window import Tiling, Window, generations, window

_TEMPORARY = 40  # bytes a pixel for the conversions of a slice: float64, several times
_AHEAD = 4  # slices that are held: two in use, and those that are read ahead
_MARGIN = 160 << 20  # bytes for what is not counted here
_HOLES = 0.15  # of the memory, that lies unused between what is used: tiles differ in size
_FORWARD = 0.8  # of the estimate for the largest tile, which was rounded up for many networks
_SMALLEST_TILE, _LARGEST_TILE = 64, 4096
_FEATURES = 0.15  # of the memory, at least, for features that serve two pairs
_ENOUGH = 6  # slices whose features are worth keeping


def make_plan(request: InterpolationRequest, given: Given = NOTHING) -> RunPlan:
    """Decide how a run is cut, on the machine that computes it.

    Parameters
    ----------
    request : InterpolationRequest
    given : Given
        Volume and model, if they are open already.

    Raises
    ------
    TsainError
        If the source cannot be read, or the memory bound is too small.
    """
    with computing_threads(request.threads):
        return _make_plan(request, given)


def _make_plan(request: InterpolationRequest, given: Given) -> RunPlan:
    volume = given.open_volume(request)
    memory = request.memory or int(available_memory() * 0.6)
    if given.model is None:
        chosen = run_to_end(settle_model(volume, request.model, request.inference, request.mix))
        request = replace(request, model=chosen.name, inference=chosen.settings, mix=False)
    model = given.open_model(request, request.inference)
    schedule = request.schedule(volume, model.any_position)
    schedule = schedule.brightened(volume, model.brightness_slices)
    intensity = request.intensity_range(volume, model.scaling)
    tiled = cutting_model(model)
    halo = _halo(tiled, volume, schedule, intensity)
    taken = resident_memory()
    shape = (len(schedule.slices), *volume.shape[1:])
    case = Case(
        model,
        volume,
        shape,
        request.layout.file_shape(shape),
        max(generations(schedule, model.any_position).values(), default=0),
        max(1, ceil(1 / schedule.step)),
        Tiling(None, halo),
    )
    free = int((memory - taken) * (1 - _HOLES)) - _MARGIN
    case, block, need = _fit(case, free)
    tile = case.tiling.tile
    if model.tiled is None and tiled is not None:  # it cuts whole slices itself
        tile = tiled.tile or tiled.tile_for_memory()
    features = min(free - need, _enough_features(case, block)) if _on_cpu(model) else 0
    return RunPlan(
        uuid.uuid4().hex[:12],
        # the same plan, whoever carries it out
        replace(request, policy=CAREFUL, cluster=HERE),
        fingerprint(volume),
        _model_id(model),
        model.provenance(),
        model.any_position,
        intensity,
        tile,
        halo,
        shape,
        block,
        features,
        torch.get_num_threads(),
        taken + int((need + features + _MARGIN) / (1 - _HOLES)),
        tuple((schedule.shifts or {}).items()),
    )


@dataclass(frozen=True)
class Case:
    """What decides how much memory a block takes.

    Attributes
    ----------
    model, volume
    shape, files : (z, y, x)
        Of the output, and of what is written at once.
    generations : int
        Halvings in a row, less one.
    slices_per_gap : int
        Of the output.
    tiling : Tiling
        Of a network; its tile is None until one is tried.
    """

    model: SliceModel
    volume: Volume
    shape: Shape
    files: Shape
    generations: int
    slices_per_gap: int
    tiling: Tiling


def _fit(case: Case, free: int) -> tuple[Case, Shape, int]:
    """(case with tile, block, bytes) that compute the fewest pixels twice among those that fit."""
    model = case.model
    tiled = model.tiled
    whole = tiled is None and not model.pointwise
    problem: TsainError | None = None
    for tile in _tiles(case):
        tried = replace(case, tiling=Tiling(tile, case.tiling.halo))
        cut = tile if tile and tile < max(case.shape[1:]) else None
        reserve = int(_FEATURES * max(free, 0)) if _on_cpu(model) else 0
        try:
            block = choose_block(
                case.shape,
                case.files,
                cut,
                whole,
                case.slices_per_gap,
                case.volume.chunks[0],
                partial(_bytes_in_the_middle, case=tried),
                free - reserve,
            )
        except TsainError as error:
            problem = error
            continue
        return tried, block, _bytes_in_the_middle(Region(0, 0, block[1], block[2]), tried)
    assert problem is not None
    raise problem


def _tiles(case: Case) -> Iterator[int | None]:
    """Tiles to try, those first with which the fewest pixels are computed twice."""
    model = case.model.tiled
    if model is None:
        yield None
        return
    if model.tile is not None:
        yield model.tile
        return
    height, width = case.shape[1:]
    most = _LARGEST_TILE if _on_cpu(model) else model.tile_for_memory()
    powers = [1 << i for i in range(6, 13) if _SMALLEST_TILE <= 1 << i <= most]
    whole = [max(height, width)] if max(height, width) <= most else []
    multiple, halo = model.multiple, case.tiling.halo or 0
    part = (min(height, 4 * _LARGEST_TILE), min(width, 4 * _LARGEST_TILE))

    def work(tile: int) -> int:
        tiles = tile_image(part, tile, halo if tile < max(part) else 0, multiple)
        return sum(prod(t.read.shape) for t in tiles)

    yield from sorted({t for t in powers if t < max(height, width)} | set(whole), key=work)


def _in_the_middle(region: Region, case: Case) -> Region:
    """A region of the same size where no edge of the slices cuts what is read round it."""
    step = case.tiling.tile or 1
    spans = []
    for side, whole in zip(region.shape, case.shape[1:], strict=True):
        start = max(0, (whole - side) // 2) // step * step
        spans.append((start, min(start + side, whole)))
    (y0, y1), (x0, x1) = spans
    return Region(y0, x0, y1, x1)


def _bytes_in_the_middle(region: Region, case: Case) -> int:
    return bytes_for(_in_the_middle(region, case), case)


def bytes_for(region: Region, case: Case) -> int:
    """Memory for a block of this region, estimated from above; features that are kept excluded."""
    volume, model = case.volume, case.model
    part = _window(region, case)
    pixels, item = prod(part.read.shape), volume.dtype.itemsize
    deep, high, wide = volume.chunks
    slab = deep * item * max(pixels, high * wide)
    slices = pixels * (_AHEAD * (item + 4) + 4 * (case.generations + 1) + _TEMPORARY)
    written = prod(region.shape) * item * (2 * case.files[0] + 3)
    return 2 * slab + slices + written + _forward(model, part)


def _window(region: Region, case: Case) -> Window:
    shape = (case.shape[1], case.shape[2])
    return window(case.model, shape, region, case.generations, case.tiling)


def _forward(model: SliceModel, part: Window) -> int:
    """Memory of a pass through the network, where it is this machine's."""
    if model.tiled is None or not _on_cpu(model):
        return 0
    largest = max(prod(t.read.shape) for t in part.rings[0])
    return int(_FORWARD * model.tiled.pass_bytes(largest, 1))


def _enough_features(case: Case, block: Shape) -> int:
    """Bytes of the features of a gap's slices on all tiles of a block."""
    model = case.model
    if model.tiled is None:
        return 0
    region = _in_the_middle(Region(0, 0, block[1], block[2]), case)
    part = _window(region, case)
    pixels = sum(prod(t.read.shape) for t in part.rings[-1])
    return max(1, _ENOUGH * model.tiled.feature_bytes(pixels))


def _on_cpu(model: SliceModel) -> bool:
    return model.tiled is not None and model.device.type == "cpu"


def _model_id(model: SliceModel) -> dict[str, Any]:
    return {"precision": "auto", **model.provenance(), "device": model.device.type}


def _halo(
    model: TiledModel | None, volume: Volume, schedule: Schedule, intensity: IntensityRange
) -> int | None:
    """The halo of a network: as it was set, or measured on the first pair of the schedule."""
    if model is None or model.halo is not None:
        return None if model is None else model.halo
    ends = next(((s.before, s.after) for s in schedule.slices if s.synthetic), (0, 1))

    def read(region: Region) -> tuple[Image, Image]:
        before, after = (volume.read(slice(z, z + 1), *region.slices)[0] for z in ends)
        pair = fill_pair(intensity.to_unit(before), intensity.to_unit(after))
        return pair.before, pair.after

    with keeping_freed_memory():
        return model.measure_halo((volume.shape[1], volume.shape[2]), read)
