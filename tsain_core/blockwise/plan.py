"""What a streamed run does, fixed before it begins, so that it can go on at any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import TsainError, argument
from ..inference.intensity import IntensityRange
from ..inference.models import InferenceSettings, SliceModel, open_model
from ..interpolation.estimate import format_bytes
from ..interpolation.request import Request
from ..interpolation.schedule import Schedule
from ..interpolation.to_file import provenance, result_geometry, synthetic_slices
from ..volumes import Volume, open_volume, part_of, with_size
from ..volumes._marks import Marks
from ..volumes.volume import Shape, Triple
from ..volumes.writer import Target
from ..volumes.zarr_layout import ZarrLayout, default_version
from .blocks import BlockGrid, pyramid_block

_VERSION = 2
#: Of a process.
MOST_THREADS = 1024


@dataclass(frozen=True)
class StreamRequest:
    """Input, output and settings of a run block by block.

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
    z_range, region
        The part of the source that is taken: see `tsain_core.volumes.part_of`.
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
    z_range: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.memory is not None and self.memory < 1:
            raise TsainError(f"The memory bound is {self.memory} bytes; it must be positive.")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise TsainError(
                f"{self.threads} threads cannot be used; choose 1 to {MOST_THREADS} "
                f"({argument('threads')})."
            )

    def open_volume(self) -> Volume:
        """The source, with what was given by hand."""
        volume = open_volume(self.source, dataset=self.dataset)
        return part_of(with_size(volume, self.voxel_size, self.unit), self.z_range, self.region)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> StreamRequest:
        """Inverse of `dataclasses.asdict`, after JSON."""
        v: dict[str, Any] = dict(values)
        v["request"] = Request(**_tuples(v["request"]))
        v["layout"] = ZarrLayout(**_tuples(v["layout"]))
        v["inference"] = InferenceSettings(**v["inference"])
        return StreamRequest(**_tuples(v))


@dataclass(frozen=True)
class Given:
    """What is open already, in the place of what a request names; only for this process.

    Attributes
    ----------
    volume : Volume or None
    model : SliceModel or None
    """

    volume: Volume | None = None
    model: SliceModel | None = None

    def open_volume(self, request: StreamRequest) -> Volume:
        """The volume that is given, or the source of the request."""
        return self.volume if self.volume is not None else request.open_volume()

    def open_model(self, request: StreamRequest, settings: InferenceSettings) -> SliceModel:
        """The model that is given, or that of the request, with these settings.

        Of a given model, only tile, halo and memory for features are taken from the settings.
        """
        if self.model is None:
            return open_model(request.model, settings)
        tiled = self.model.tiled
        if tiled is None:
            return self.model
        return tiled.with_tiles(settings.tile, settings.halo, settings.feature_memory)


#: Nothing is open yet.
NOTHING = Given()


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
    provenance : mapping
        What the output says of the model.
    any_position : bool
        Whether the model reaches every position between two slices.
    intensity : IntensityRange
    tile, halo : int or None
        Of a network.
    shape : (z, y, x)
        Of the output.
    block : (z, y, x)
        What is computed at a time.
    features : int
        Bytes that a network may keep of what it knows of the latest slices.
    threads : int
        That each process computes with on CPU.
    need : int
        Bytes that a process takes, estimated.
    """

    id: str
    asked: StreamRequest
    source: Mapping[str, Any]
    made_by: Mapping[str, Any]
    provenance: Mapping[str, Any]
    any_position: bool
    intensity: IntensityRange
    tile: int | None
    halo: int | None
    shape: Shape
    block: Shape
    features: int
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

    def open_model(self, given: Given = NOTHING) -> SliceModel:
        """The model, with the tiles of the plan."""
        settings = replace(
            self.asked.inference,
            tile=self.tile,
            halo=self.halo,
            precision=self.made_by["precision"],
            feature_memory=self.features or None,
        )
        return given.open_model(self.asked, settings)

    def schedule(self, volume: Volume) -> Schedule:
        """All slices of the output."""
        return schedule_of(self.asked, volume, self.any_position)

    def target(self, volume: Volume) -> Target:
        """What the output says about itself."""
        schedule = self.schedule(volume)
        geometry = result_geometry(volume, schedule)
        marks = Marks(
            synthetic_slices(volume, schedule),
            provenance(volume, schedule, self.provenance, self.intensity),
        )
        return Target(
            geometry.shape,
            volume.dtype,
            geometry.voxel_size,
            volume.unit,
            geometry.offset,
            marks,
            os.path.basename(self.asked.output.rstrip("/")),
        )

    def check_same(self, other: RunPlan, accept_changed_input: bool = False) -> None:
        """Refuse to go on with a run that would come out otherwise now.

        Raises
        ------
        TsainError
            Which says what differs.
        """
        changes = [
            (
                "the weights, precision, detail or ensemble are others",
                self.made_by,
                other.made_by,
            ),
            ("other slices are selected", self.asked.request, other.asked.request),
            ("another dataset is selected", self.asked.dataset, other.asked.dataset),
            ("another part of the input is selected", _part(self), _part(other)),
            ("the voxel size or unit is another", _by_hand(self), _by_hand(other)),
            ("chunks, shards or pyramid are others", self.asked.layout, other.asked.layout),
            ("the intensity range is another", self.asked.intensity, other.asked.intensity),
            ("tile or halo are others", _tiles(self.asked), _tiles(other.asked)),
            ("the number of threads is another", self.asked.threads, other.asked.threads),
        ]
        found = [words for words, mine, theirs in changes if mine != theirs]
        if self.shape != other.shape:
            found.append("the input has another shape")
        elif (
            self.source != other.source and _part(self) == _part(other) and not accept_changed_input
        ):
            source = self.asked.source or "array"
            raise TsainError(
                f"The input {source} has changed since {self.asked.output} was begun: begin again "
                f"with {argument('restart')}, or, if only damaged parts of it were mended, go on "
                f"with {argument('accept_changed_input')}."
            )
        if found:
            raise TsainError(
                f"{self.asked.output} was begun with other settings ({'; '.join(found)}): "
                f"repeat the run that began it, or begin again with {argument('restart')}."
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
                f"or begin again with {argument('restart')}."
            )
        v["asked"] = StreamRequest.from_json(v["asked"])
        v["intensity"] = IntensityRange(**v["intensity"])
        return RunPlan(**_tuples(v))


def schedule_of(asked: StreamRequest, volume: Volume, any_position: bool) -> Schedule:
    """All slices of the output."""
    return asked.request.schedule(volume.shape[0], volume.voxel_z, any_position)


def _by_hand(plan: RunPlan) -> tuple[Any, ...]:
    return plan.asked.voxel_size, plan.asked.unit


def _part(plan: RunPlan) -> tuple[Any, ...]:
    return plan.asked.z_range, plan.asked.region


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
