"""What a streamed run does, fixed before it begins, so that it can go on at any time."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil, prod
from typing import Any

import psutil
import torch

from ..cost import peak_bytes
from ..errors import TsainError
from ..estimate import format_bytes
from ..intensity import IntensityRange, estimate_range
from ..models import BaselineModel, InferenceSettings, NetworkModel, SliceModel, open_model
from ..pipeline import provenance, result_geometry, synthetic_slices
from ..request import Request
from ..schedule import Schedule
from ..tiles import Region
from ..volumes import Volume, normal_unit, open_volume
from ..volumes._marks import Marks
from ..volumes.volume import Shape, Triple
from ..volumes.writer import Target
from ..volumes.zarr_layout import ZarrLayout, default_version
from .blocks import BlockGrid, choose_block, pyramid_block
from .fingerprint import fingerprint
from .window import generations, window

_VERSION = 1
_TEMPORARY = 40  # bytes a pixel for the conversions of a slice: float64, several times
_AHEAD = 4  # slices that are held: two in use, and those that are read ahead
_MARGIN = 96 << 20  # bytes for what is not counted here
_SMALLEST_TILE = 64


@dataclass(frozen=True)
class StreamRequest:
    """What is asked for.

    Attributes
    ----------
    source, output : str
        Paths or URLs; the output is an OME-Zarr.
    dataset : str or None
        Path inside the source.
    voxel_size, unit
        Given by hand, where the source does not have them.
    request : Request
        Which slices.
    model : str
    inference : InferenceSettings
    intensity : (lo, hi) or None
        Grey values that become 0 and 1; None estimates them.
    layout : ZarrLayout
    memory : int or None
        Bytes that a process may take; None takes 60 % of what is free.
    threads : int or None
        That a process computes with on CPU; None takes torch's own number. The last bit of a sum
        may depend on it, and with it once in a million voxels the grey value, so it stays the same
        for all of a run.
    """

    source: str
    output: str
    dataset: str | None = None
    voxel_size: Triple | None = None
    unit: str | None = None
    request: Request = Request()
    model: str = "auto"
    inference: InferenceSettings = InferenceSettings()
    intensity: tuple[float, float] | None = None
    layout: ZarrLayout = ZarrLayout(default_version())
    memory: int | None = None
    threads: int | None = None

    def open_volume(self) -> Volume:
        """The source, with what was given by hand."""
        volume = open_volume(self.source, dataset=self.dataset)
        if self.voxel_size:
            volume = replace(volume, voxel_size=self.voxel_size)
        return replace(volume, unit=normal_unit(self.unit)) if self.unit else volume

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> StreamRequest:
        """Inverse of `dataclasses.asdict`, after JSON."""
        v: dict[str, Any] = dict(values)
        v["request"] = Request(**_tuples(v["request"]))
        v["layout"] = ZarrLayout(**_tuples(v["layout"]))
        v["inference"] = InferenceSettings(**v["inference"])
        return StreamRequest(**_tuples(v))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists only."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


@dataclass(frozen=True)
class RunPlan:
    """A run, fixed: the same plan gives the same voxels, in any number of processes.

    Attributes
    ----------
    id : str
        Of this run.
    asked : StreamRequest
    source : mapping
        How to know the source again.
    made_by : mapping
        The model, its weights' hash, precision and kind of device.
    intensity : IntensityRange
    tile, halo : int or None
        Of a network.
    shape : (z, y, x)
        Of the output.
    block : (z, y, x)
        What is computed at a time.
    threads : int
        That each process computes with on CPU.
    need : int
        Bytes that a process takes, estimated.
    """

    id: str
    asked: StreamRequest
    source: Mapping[str, Any]
    made_by: Mapping[str, Any]
    intensity: IntensityRange
    tile: int | None
    halo: int | None
    shape: Shape
    block: Shape
    threads: int
    need: int

    def grids(self) -> list[BlockGrid]:
        """The blocks of every level, the finest first."""
        layout = self.asked.layout
        levels = layout.levels(self.shape)
        coarse = [
            BlockGrid(i + 1, shape, pyramid_block(shape, layout.file_shape(shape)))
            for i, shape in enumerate(levels[1:])
        ]
        return [BlockGrid(0, self.shape, self.block), *coarse]

    def open_model(self) -> SliceModel:
        """The model, with the tiles and threads of the plan."""
        torch.set_num_threads(self.threads)
        settings = replace(self.asked.inference, tile=self.tile, halo=self.halo)
        return open_model(self.asked.model, replace(settings, precision=self.made_by["precision"]))

    def schedule(self, volume: Volume, any_position: bool) -> Schedule:
        """All slices of the output."""
        return schedule_of(self.asked, volume, any_position)

    def target(self, volume: Volume, schedule: Schedule, model: SliceModel) -> Target:
        """What the output says about itself."""
        geometry = result_geometry(volume, schedule)
        marks = Marks(
            synthetic_slices(volume, schedule), provenance(volume, schedule, model, self.intensity)
        )
        return Target(
            geometry.shape,
            volume.dtype,
            geometry.voxel_size,
            volume.unit,
            geometry.offset,
            marks,
        )

    def check_same(self, other: RunPlan, accept_changed_input: bool = False) -> None:
        """Refuse to go on with a run that would come out otherwise now.

        Raises
        ------
        TsainError
            Which says what differs.
        """
        changes = [
            ("the weights or the precision are others", self.made_by, other.made_by),
            ("other slices are asked for", self.asked.request, other.asked.request),
            ("another dataset is asked for", self.asked.dataset, other.asked.dataset),
            ("the voxel size or unit is another", _by_hand(self), _by_hand(other)),
            ("chunks, shards or pyramid are others", self.asked.layout, other.asked.layout),
            ("the intensity range is another", self.asked.intensity, other.asked.intensity),
            ("tile or halo are others", _tiles(self.asked), _tiles(other.asked)),
            ("--threads is another", self.asked.threads, other.asked.threads),
        ]
        found = [words for words, mine, theirs in changes if mine != theirs]
        if self.shape != other.shape:
            found.append("the input has another shape")
        elif self.source != other.source and not accept_changed_input:
            raise TsainError(
                f"The input {self.asked.source} has changed since {self.asked.output} was begun: "
                "begin anew with --restart, or, if only damaged parts of it were mended, go on "
                "with --accept-changed-input."
            )
        if found:
            raise TsainError(
                f"{self.asked.output} was begun with other settings ({'; '.join(found)}); needed "
                "are the same: repeat the command that began it, or begin anew with --restart."
            )

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"version": _VERSION, **asdict(self)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> RunPlan:
        """Inverse of `to_json`.

        Raises
        ------
        TsainError
            If another version of this program wrote it.
        """
        v: dict[str, Any] = dict(values)
        if v.pop("version", None) != _VERSION:
            raise TsainError(
                "The run was begun by another version of napari-tsain; finish it with that one, "
                "or begin anew with --restart."
            )
        v["asked"] = StreamRequest.from_json(v["asked"])
        v["intensity"] = IntensityRange(**v["intensity"])
        return RunPlan(**_tuples(v))


def schedule_of(asked: StreamRequest, volume: Volume, any_position: bool) -> Schedule:
    """All slices of the output that is asked for."""
    voxel_z = volume.voxel_size[0] if volume.voxel_size else None
    return asked.request.schedule(volume.shape[0], voxel_z, any_position)


def make_plan(asked: StreamRequest) -> RunPlan:
    """Decide how a run is cut, on the machine that computes it.

    Raises
    ------
    TsainError
        If the source cannot be read, or the memory bound is too small.
    """
    if asked.threads:
        torch.set_num_threads(asked.threads)
    volume = asked.open_volume()
    memory = asked.memory or int(psutil.virtual_memory().available * 0.6)
    model = open_model(asked.model, asked.inference)
    schedule = schedule_of(asked, volume, model.any_position)
    intensity = (
        IntensityRange(*asked.intensity)
        if asked.intensity
        else estimate_range(volume, model.percentiles)
    )
    if isinstance(model, NetworkModel) and model.halo is None:
        model = _measured(model, volume, schedule, intensity)  # what it takes to start is taken
    free = memory - psutil.Process().memory_info().rss - _MARGIN
    if isinstance(model, NetworkModel):
        model = _with_tile(model, volume, schedule, intensity, free)
    shape = (len(schedule.slices), *volume.shape[1:])
    files = asked.layout.file_shape(shape)
    depth = max(generations(schedule, model.any_position).values(), default=0)

    def need(region: Region) -> int:
        return _bytes_for(region, model, volume, files, depth)

    tile = model.tile if isinstance(model, NetworkModel) and _cuts(model, volume) else None
    block = choose_block(
        shape,
        files,
        tile,
        isinstance(model, BaselineModel) and not model.pointwise,
        max(1, ceil(1 / schedule.step)),
        need,
        free,
    )
    region = Region(0, 0, min(block[1], shape[1]), min(block[2], shape[2]))
    return RunPlan(
        uuid.uuid4().hex[:12],
        asked,
        fingerprint(volume),
        _made_by(model),
        intensity,
        model.tile if isinstance(model, NetworkModel) else None,
        model.halo if isinstance(model, NetworkModel) else None,
        shape,
        block,
        torch.get_num_threads(),
        memory - free - _MARGIN + need(region),
    )


def _made_by(model: SliceModel) -> dict[str, Any]:
    device = model.device.type if isinstance(model, NetworkModel) else "cpu"
    return {"precision": "auto", **model.provenance(), "device": device}


def _measured(
    model: NetworkModel, volume: Volume, schedule: Schedule, intensity: IntensityRange
) -> NetworkModel:
    """A model whose halo is that of the first pair of the schedule."""
    ends = next(((s.before, s.after) for s in schedule.slices if s.synthetic), (0, 1))
    middle = model.probe((volume.shape[1], volume.shape[2]))
    pair = [volume.read(slice(z, z + 1), *middle.slices)[0] for z in ends]
    before, after = (intensity.to_unit(image) for image in pair)
    model.halo = model.measure_halo(before, after)
    return model


def _with_tile(
    model: NetworkModel, volume: Volume, schedule: Schedule, intensity: IntensityRange, free: int
) -> NetworkModel:
    """A model whose tile fits into the memory: the whole slice, or a power of two."""
    settings = model.settings
    if model.device.type == "cpu":
        settings = replace(settings, memory=max(free, 1))
    halo = model.halo
    model = NetworkModel(model.network, model.info, model.device, settings)
    model.halo = halo
    if model.tile is None:
        most = model.tile_for_memory()
        if most < max(volume.shape[1:]):
            most = max(_SMALLEST_TILE, 1 << (most.bit_length() - 1))
        model.tile = most
    return model


def _cuts(model: NetworkModel, volume: Volume) -> bool:
    return model.tile is not None and model.tile < max(volume.shape[1:])


def _bytes_for(region: Region, model: SliceModel, volume: Volume, files: Shape, depth: int) -> int:
    """Memory for a block of this region, estimated from above."""
    part = window(model, (volume.shape[1], volume.shape[2]), region, depth)
    pixels, item = prod(part.read.shape), volume.dtype.itemsize
    deep, high, wide = volume.chunks
    slab = deep * item * max(pixels, high * wide)
    slices = pixels * (_AHEAD * (item + 4) + 4 * (depth + 1) + _TEMPORARY)
    written = prod(region.shape) * item * (2 * files[0] + 3)
    if not isinstance(model, NetworkModel):
        return 2 * slab + slices + written
    largest = max((prod(t.read.shape) for t in part.rings[0]), default=0)
    if model.device.type != "cpu":
        return 2 * slab + slices + written
    half = model.precision == "bf16"
    forward = peak_bytes(model.network.settings, largest, 1, half) if largest else 0
    return 2 * slab + slices + written + forward + int(1.3 * (model.settings.memory or 0) * 0.2)


def _by_hand(plan: RunPlan) -> tuple[Any, ...]:
    return plan.asked.voxel_size, plan.asked.unit


def _tiles(asked: StreamRequest) -> tuple[Any, ...]:
    return asked.inference.tile, asked.inference.halo


def describe(plan: RunPlan) -> str:
    """A line about how a run is cut."""
    blocks = len(plan.grids()[0])
    size = " x ".join(str(n) for n in plan.block)
    bound = plan.asked.memory
    memory = f"about {format_bytes(plan.need)} of memory"
    return f"{blocks} blocks of {size}, {memory}" + (
        f" of at most {format_bytes(bound)}" if bound else ""
    )
