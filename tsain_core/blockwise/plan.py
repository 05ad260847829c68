"""What a blockwise run does, fixed before it begins, so that it can go on at any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..errors import TsainError, argument
from ..inference.intensity import IntensityRange
from ..inference.models import InferenceSettings, SliceModel, open_model
from ..interpolation.estimate import format_bytes
from ..interpolation.request import InterpolationRequest
from ..interpolation.schedule import Schedule
from ..interpolation.to_file import partial_slices, provenance, result_geometry, synthetic_slices
from ..system.records import Record, RecordError
from ..volumes import Volume
from ..volumes._marks import Marks
from ..volumes.volume import Shape
from ..volumes.writer import Target
from .blocks import BlockGrid, pyramid_block
from .window import Tiling

_VERSION = 3


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

    def open_volume(self, request: InterpolationRequest) -> Volume:
        """The volume that is given, or the source of the request."""
        return self.volume if self.volume is not None else request.open_volume()

    def open_model(self, request: InterpolationRequest, settings: InferenceSettings) -> SliceModel:
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


@dataclass(frozen=True)
class RunPlan(Record):
    """A run, fixed: the same plan gives the same voxels, in any number of processes.

    Attributes
    ----------
    id : str
        Of this run.
    request : InterpolationRequest
    source : mapping
        How to know the source again.
    model_id : mapping
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
    memory_bytes : int
        Bytes that a process takes, estimated.
    shifts : tuple of (int, float)
        Of the schedule: how much brighter slices are than their neighbours.
    """

    id: str
    request: InterpolationRequest
    source: Mapping[str, Any]
    model_id: Mapping[str, Any]
    provenance: Mapping[str, Any]
    any_position: bool
    intensity: IntensityRange
    tile: int | None
    halo: int | None
    shape: Shape
    block: Shape
    features: int
    threads: int
    memory_bytes: int
    shifts: tuple[tuple[int, float], ...] = ()

    @property
    def tiling(self) -> Tiling:
        """Tile and halo."""
        return Tiling(self.tile, self.halo)

    def grids(self) -> list[BlockGrid]:
        """The blocks of every level, the finest first."""
        layout = self.request.layout
        levels = layout.levels(self.shape)
        coarse = [
            BlockGrid(i + 1, shape, pyramid_block(shape, layout.file_shape(shape)))
            for i, shape in enumerate(levels[1:])
        ]
        return [BlockGrid(0, self.shape, self.block), *coarse]

    def open_model(self, given: Given = NOTHING) -> SliceModel:
        """The model, with the tiles of the plan."""
        settings = replace(
            self.request.inference,
            tile=self.tile,
            halo=self.halo,
            precision=self.model_id["precision"],
            feature_memory=self.features or None,
        )
        return given.open_model(self.request, settings)

    def schedule(self, volume: Volume) -> Schedule:
        """All slices of the output."""
        schedule = self.request.schedule(volume, self.any_position)
        return replace(schedule, shifts=dict(self.shifts))

    def target(self, volume: Volume) -> Target:
        """What the output says about itself."""
        schedule = self.schedule(volume)
        geometry = result_geometry(volume, schedule)
        marks = Marks(
            synthetic_slices(volume, schedule),
            provenance(volume, schedule, self.provenance, self.intensity),
            partial=partial_slices(volume, schedule),
        )
        return Target(
            geometry.shape,
            volume.dtype,
            geometry.voxel_size,
            volume.unit,
            geometry.offset,
            marks,
            os.path.basename(self.request.output.rstrip("/")),
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
                "the weights, precision, detail, mixing or ensemble are others",
                self.model_id,
                other.model_id,
            ),
            ("other slices are selected", self.request.selection, other.request.selection),
            ("another dataset is selected", self.request.dataset, other.request.dataset),
            ("another part of the input is selected", _part(self), _part(other)),
            ("the voxel size or unit is another", _by_hand(self), _by_hand(other)),
            ("chunks, shards or pyramid are others", self.request.layout, other.request.layout),
            ("the intensity range is another", self.request.intensity, other.request.intensity),
            ("tile or halo are others", _tiles(self.request), _tiles(other.request)),
            ("the number of threads is another", self.request.threads, other.request.threads),
        ]
        found = [words for words, mine, theirs in changes if mine != theirs]
        if self.shape != other.shape:
            found.append("the input has another shape")
        elif (
            self.source != other.source and _part(self) == _part(other) and not accept_changed_input
        ):
            source = self.request.source or "array"
            raise TsainError(
                f"The input {source} has changed since {self.request.output} was begun: begin "
                f"again with {argument('restart')}, or, if only damaged parts of it were mended, "
                f"go on with {argument('accept_changed_input')}."
            )
        if found:
            raise TsainError(
                f"{self.request.output} was begun with other settings ({'; '.join(found)}): "
                f"repeat the run that began it, or begin again with {argument('restart')}."
            )

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"version": _VERSION, **super().to_json()}

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Inverse of `to_json`.

        Raises
        ------
        RecordError
            If a field is missing or wrong.
        TsainError
            If another version of this program wrote it.
        """
        if not isinstance(values, Mapping):
            raise RecordError("the content is no table")
        if values.get("version") != _VERSION:
            raise TsainError(
                "The run was begun by another version of napari-tsain; finish it with that one, "
                f"or begin again with {argument('restart')}."
            )
        return super().from_json({k: v for k, v in values.items() if k != "version"})


def _by_hand(plan: RunPlan) -> tuple[Any, ...]:
    return plan.request.voxel_size, plan.request.unit


def _part(plan: RunPlan) -> tuple[Any, ...]:
    return plan.request.z_range, plan.request.region


def _tiles(request: InterpolationRequest) -> tuple[Any, ...]:
    return request.inference.tile, request.inference.halo


def describe(plan: RunPlan) -> str:
    """A line about how a run is cut."""
    blocks = len(plan.grids()[0])
    size = " x ".join(str(n) for n in plan.block)
    bound = plan.request.memory
    memory = f"about {format_bytes(plan.memory_bytes)} of memory"
    return f"{blocks} blocks of {size}, {memory}" + (
        f" of at most {format_bytes(bound)}" if bound else ""
    )
