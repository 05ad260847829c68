"""What a blockwise run does, fixed before it begins, so that it can go on at any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import TsainError, argument
from ..inference.intensity import IntensityRange
from ..inference.models import InferenceSettings, SliceModel, open_model
from ..interpolation.estimate import format_bytes
from ..interpolation.schedule import Schedule
from ..interpolation.selection import SliceSelection
from ..interpolation.to_file import partial_slices, provenance, result_geometry, synthetic_slices
from ..volumes import Volume, open_volume, part_of, with_size
from ..volumes._marks import Marks
from ..volumes.volume import Shape, Triple
from ..volumes.writer import Target
from ..volumes.zarr_layout import ZarrLayout, default_version
from .blocks import BlockGrid, pyramid_block
from .window import Tiling

_VERSION = 3
#: Of a process.
MOST_THREADS = 1024


@dataclass(frozen=True)
class BlockwiseRequest:
    """Input, output and settings of a run block by block.

    Attributes
    ----------
    source, output : str
        Paths or URLs; the output is an OME-Zarr.
    dataset : str or None
        Path inside the source.
    voxel_size, unit
        Given by hand, where the source does not have them.
    selection : SliceSelection
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
    selection: SliceSelection = SliceSelection()
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
    def from_json(values: Mapping[str, Any]) -> BlockwiseRequest:
        """Inverse of `dataclasses.asdict`, after JSON."""
        v: dict[str, Any] = dict(values)
        v["selection"] = SliceSelection(**_tuples(v["selection"]))
        v["layout"] = ZarrLayout(**_tuples(v["layout"]))
        v["inference"] = InferenceSettings(**v["inference"])
        return BlockwiseRequest(**_tuples(v))


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

    def open_volume(self, request: BlockwiseRequest) -> Volume:
        """The volume that is given, or the source of the request."""
        return self.volume if self.volume is not None else request.open_volume()

    def open_model(self, request: BlockwiseRequest, settings: InferenceSettings) -> SliceModel:
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
    request : BlockwiseRequest
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
    """

    id: str
    request: BlockwiseRequest
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
        return schedule_of(self.request, volume, self.any_position)

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
                "the weights, precision, detail or ensemble are others",
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
        v["request"] = BlockwiseRequest.from_json(v["request"])
        v["intensity"] = IntensityRange(**v["intensity"])
        return RunPlan(**_tuples(v))


def schedule_of(request: BlockwiseRequest, volume: Volume, any_position: bool) -> Schedule:
    """All slices of the output."""
    return request.selection.schedule(volume.shape[0], volume.voxel_z, any_position)


def _by_hand(plan: RunPlan) -> tuple[Any, ...]:
    return plan.request.voxel_size, plan.request.unit


def _part(plan: RunPlan) -> tuple[Any, ...]:
    return plan.request.z_range, plan.request.region


def _tiles(request: BlockwiseRequest) -> tuple[Any, ...]:
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
