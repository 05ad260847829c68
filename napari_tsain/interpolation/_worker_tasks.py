"""What runs in the worker: generators that know neither layers nor Qt."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
from numpy.typing import NDArray

from tsain_core.blockwise import (
    BesideProgress,
    Given,
    RunProgress,
    RunStarted,
    SlicesReady,
    interpolate_blockwise,
)
from tsain_core.inference.intensity import estimate_range
from tsain_core.inference.models import SliceModel, open_model
from tsain_core.interpolation.estimate import SliceCost, slice_cost
from tsain_core.interpolation.interpolate import SliceReady, TileProgress, interpolate
from tsain_core.interpolation.request import (
    CAREFUL,
    FOUND,
    HERE,
    Cluster,
    InterpolationRequest,
    RunPolicy,
)
from tsain_core.interpolation.schedule import Schedule, by_factor, evaluations
from tsain_core.interpolation.selection import SliceSelection
from tsain_core.interpolation.to_file import (
    interpolate_to_file,
    partial_slices,
    provenance,
    synthetic_slices,
)
from tsain_core.labels import scheduled_labels
from tsain_core.repairing import merged_partial, repair, repair_provenance, repair_to_file
from tsain_core.stack_check import Advice, check_pairs
from tsain_core.volumes import PartlyComputed, Volume
from tsain_core.volumes._locations import locate
from tsain_core.volumes.zarr_layout import open_array

from ._model import ModelChoice
from ._parts import Along, Parts


@dataclass(frozen=True)
class Opened:
    """The model is there: what the result will say about how it was made."""

    provenance: dict[str, Any]
    synthetic: tuple[int, ...]
    partial: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def marked(self) -> set[int]:
        """Slices that are computed, as a whole or in part."""
        return {*self.synthetic, *self.partial}


@dataclass(frozen=True)
class Advised:
    """The pairs of slices were looked at: what is to be said of them."""

    advice: tuple[Advice, ...]


@dataclass(frozen=True)
class LabelsReady:
    """Labels (y, x) of a slice of the result."""

    index: int
    image: NDArray[Any]


@dataclass(frozen=True)
class Growing:
    """A result on disk is begun, or gone on with.

    Attributes
    ----------
    levels : list of array-like (z, y, x)
        In which slices that are not there yet are 0. The coarser ones are every second, fourth,
        ... pixel of the finest: their own files come last.
    """

    levels: list[Any]


class ModelCache:
    """The model opened last, so that the next preview does not open it again.

    Jobs use it one at a time.
    """

    def __init__(self) -> None:
        self._key: tuple[ModelChoice, float] | None = None
        self._model: SliceModel | None = None

    def open(self, choice: ModelChoice) -> SliceModel:
        """The model of that name or file; a file that changed is opened again."""
        path = Path(choice.name)
        key = choice, path.stat().st_mtime if path.is_file() else 0.0
        if self._model is None or key != self._key:
            self._model = open_model(choice.name, choice.settings)
            self._key = key
        return self._model


@dataclass(frozen=True)
class LayerRunPlan:
    """A run, with all it needs.

    Attributes
    ----------
    volume : Volume
        The stack of the layer; of the source that the request names, where it has one.
    schedule : Schedule
    request : InterpolationRequest
        As the command has it. An output is written block by block; without one the result is kept
        in memory.
    parts : Parts or None
        Only these pixels are computed; the schedule is that of the source.
    along : Along or None
        Labels that are interpolated, too.
    """

    volume: Volume
    schedule: Schedule
    request: InterpolationRequest
    parts: Parts | None = None
    along: Along | None = None

    @property
    def evaluations(self) -> int:
        """How often the model has to run; of repaired slices once for each."""
        if self.parts is not None:
            return len(self.parts.slices) or self.volume.shape[0]
        return evaluations(self.schedule, self.choice.any_position)

    @property
    def choice(self) -> ModelChoice:
        """The model, and how it is run."""
        return ModelChoice(self.request.model, self.request.inference)

    @property
    def labels_inside(self) -> bool:
        """Whether labels go along, and lie in the result."""
        return self.along is not None and bool(self.request.output) and self.request.in_blocks

    @property
    def output(self) -> Path | None:
        """The file that is written."""
        return Path(self.request.output) if self.request.output else None


def plan_for(
    volume: Volume,
    selection: SliceSelection,
    choice: ModelChoice,
    output: Path | None = None,
    policy: RunPolicy = CAREFUL,
    cluster: Cluster = HERE,
    parts: Parts | None = None,
    along: Along | None = None,
) -> LayerRunPlan:
    """The run of a layer's stack.

    The command goes on with a run of the dock, and the dock with one of the command: so both have
    the same request. Where only parts of slices are computed, they take the place of the selection.

    Raises
    ------
    TsainError
        If the selection does not fit the stack, or the parts go with no cluster.
    """
    sides = tuple(side for side in volume.voxel_size or () if side is not None)
    size = (sides[0], sides[1], sides[2]) if len(sides) == 3 else None
    if parts is not None:
        selection = SliceSelection(damaged=parts.slices if parts.found else parts.whole)
    request = InterpolationRequest(
        volume.source,
        "" if output is None else str(output),
        volume.dataset,
        size,
        volume.unit if size else None,
        selection,
        choice.name,
        choice.settings,
        repair_mask=None if parts is None else FOUND if parts.found else parts.source or None,
        labels=(along.source or None) if along else None,
        policy=policy,
        cluster=cluster,
    )
    if parts is None:
        schedule = request.schedule(volume, choice.any_position)
    else:
        schedule = by_factor(volume.shape[0], 1, (), choice.any_position)
    return LayerRunPlan(volume, schedule, request, parts, along)


def run(
    plan: LayerRunPlan, models: ModelCache
) -> Generator[
    Opened
    | Advised
    | Growing
    | SlicesReady
    | RunProgress
    | TileProgress
    | SliceReady
    | LabelsReady,
    None,
    None,
]:
    """Compute a plan: into memory slice by slice, as `SliceReady`; to disk block by block."""
    if plan.parts is not None:
        yield from _mend(plan, plan.parts, models)
        return
    yield Advised((yield from _looked_at(plan)))
    if plan.output is not None and plan.request.in_blocks:
        yield from _write(plan)
    else:
        yield from _slice_by_slice(plan, models)
    if plan.along is not None and not plan.labels_inside:
        for index, image in scheduled_labels(plan.along.data, plan.schedule):
            yield LabelsReady(index, image)


def _slice_by_slice(
    plan: LayerRunPlan, models: ModelCache
) -> Generator[Opened | TileProgress | SliceReady, None, None]:
    volume, schedule = plan.volume, plan.schedule
    model = models.open(plan.choice)
    intensity = estimate_range(volume, model.scaling)
    yield Opened(
        provenance(volume, schedule, model.provenance(), intensity),
        synthetic_slices(volume, schedule),
        _as_json(partial_slices(volume, schedule)),
    )
    if plan.output is None:
        yield from interpolate(volume, schedule, model, intensity)
    else:  # pairs are adjusted in whole slices
        overwrite = plan.request.policy.overwrite
        yield from interpolate_to_file(
            volume, plan.output, schedule, model, intensity, overwrite=overwrite
        )


def _looked_at(plan: LayerRunPlan) -> Generator[TileProgress, None, tuple[Advice, ...]]:
    """What is to be said of the pairs of slices of a run."""
    settings = plan.request.inference
    work = check_pairs(plan.volume, plan.schedule, settings.align, settings.match_brightness)
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: tuple[Advice, ...] = end.value
            return found
        yield TileProgress(0, 0.0, 1)  # a place to stop


def _as_json(partial: Mapping[int, PartlyComputed]) -> dict[int, dict[str, Any]]:
    return {z: part.to_json() for z, part in partial.items()}


def _mend(
    plan: LayerRunPlan, parts: Parts, models: ModelCache
) -> Generator[Opened | TileProgress | SliceReady, None, None]:
    """Compute damaged parts of slices, into memory or a file."""
    volume = plan.volume
    mask = yield from parts.mask(volume)
    model = models.open(plan.choice)
    intensity = estimate_range(volume, model.scaling)
    yield Opened(
        repair_provenance(volume, model, intensity),
        tuple(sorted({*volume.synthetic, *mask.whole_slices})),
        _as_json(merged_partial(volume, mask)),
    )
    if plan.output is None:
        yield from repair(volume, mask, model, intensity)
    else:
        policy = plan.request.policy
        yield from repair_to_file(
            volume,
            plan.output,
            mask,
            model,
            intensity,
            overwrite=policy.overwrite,
            restart=policy.restart,
        )


def _write(
    plan: LayerRunPlan,
) -> Generator[Opened | Growing | SlicesReady | RunProgress, None, None]:
    beside = []
    if plan.along is not None:
        beside.append(plan.along.beside(plan.volume, plan.schedule, plan.request.layout))
    events = interpolate_blockwise(plan.request, Given(plan.volume), beside)
    with closing(events):
        for event in events:
            if isinstance(event, RunStarted):
                marks = event.plan.target(plan.volume).marks
                yield Opened(dict(marks.provenance), marks.synthetic, _as_json(marks.partial))
                yield Growing(_growing_levels(event.partial, len(event.plan.grids())))
            elif isinstance(event, SlicesReady | RunProgress):
                yield event
            elif isinstance(event, BesideProgress):
                yield RunProgress(1.0)  # a place to stop


def _growing_levels(partial: str, levels: int) -> list[Any]:
    array = open_array(locate(partial), 0, "r")
    whole = da.from_array(array, chunks=array.chunks, name=False)
    return [whole[:, :: 2**i, :: 2**i] for i in range(levels)]


def cost(
    volume: Volume, choice: ModelChoice, models: ModelCache
) -> Generator[None, None, SliceCost]:
    """What one slice of a volume takes."""
    yield
    return slice_cost(volume, models.open(choice))
