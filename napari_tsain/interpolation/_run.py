"""A run and the layer that its result becomes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils import progress
from napari.utils.notifications import show_warning

from tsain_core.blockwise import RunProgress, SlicesReady
from tsain_core.errors import TsainError
from tsain_core.inference.models import free_memory
from tsain_core.interpolation.estimate import format_bytes
from tsain_core.interpolation.interpolate import SliceReady, TileProgress
from tsain_core.volumes import slice_digest

from ..layers.provenance import METADATA_KEY, LayerMarks
from ..layers.result import expand_axes, placed_like, result_marks
from ..widgets.wording import in_dock_words
from ..widgets.worker import JobQueue
from ._worker_tasks import Advised, Growing, LabelsReady, LayerRunPlan, ModelCache, Opened, run

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_REFRESH = 0.3  # seconds between two looks at a growing result


@dataclass(frozen=True)
class SliceProgress:
    """How far a run is: slices computed, of how many, a second, and seconds left."""

    done: float
    total: int
    rate: float
    left: float


@dataclass(frozen=True)
class LayerSlot:
    """Where a result belongs: its source layer, the z axis, the place along other axes."""

    layer: Image
    z_axis: int
    index: tuple[int, ...]


class LayerRun:
    """Runs a plan; the result grows in a layer, which goes again if the run does not end well.

    Parameters
    ----------
    viewer : napari.Viewer
    place : LayerSlot
    plan : LayerRunPlan
    models : ModelCache
    queue : JobQueue
    on_progress : callable (SliceProgress)
    on_end : callable (Image or None, Exception or None)
        The result layer; neither of both when the run was cancelled.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        place: LayerSlot,
        plan: LayerRunPlan,
        models: ModelCache,
        queue: JobQueue,
        on_progress: Callable[[SliceProgress], None],
        on_end: Callable[[Image | None, Exception | None], None],
    ) -> None:
        self._viewer, self._place, self._plan, self._queue = viewer, place, plan, queue
        self._on_progress, self._on_end = on_progress, on_end
        self.layer: Image | None = None
        self._stack: Any = None
        self._levels: list[Any] = []
        self._digests: dict[int, str] = {}
        self._labels: list[Any] = []
        self._marks = LayerMarks()
        # taken now: the source layer may be gone when the first slice comes
        self._attributes, self._source = result_attributes(place, plan), place.layer.name
        total = plan.evaluations
        self._bar = progress(total=total, desc=f"Interpolating {place.layer.name}", unit="slice")
        self._total, self._began, self._drawn = total, time.perf_counter(), 0.0
        self._shown = 0  # slices of the result that are in the layer
        self._before: float | None = None  # slices that an earlier run had computed
        viewer.layers.events.removed.connect(self._layer_removed)
        queue.start(lambda: run(plan, models), self._event, self._done, self._failed, self._stopped)

    def cancel(self) -> None:
        """Stop within a tile; the viewer is left as it was."""
        self._queue.cancel()

    def abandon(self, viewer_stays: bool) -> None:
        """Stop, and take the unfinished layer away; the dock is gone, or the viewer too."""
        self._queue.abandon()
        self._viewer.layers.events.removed.disconnect(self._layer_removed)
        self._bar.close()
        if viewer_stays:
            self._take_back()

    def _event(self, event: Any) -> None:
        if isinstance(event, Opened):
            self._opened(event)
        elif isinstance(event, Advised):
            for advice in event.advice:
                show_warning(in_dock_words(TsainError(advice.text)))
        elif isinstance(event, Growing):
            # arrays with more axes cannot be looked into while they grow
            self._levels = event.levels if self._place.layer.ndim == 3 else []
        elif isinstance(event, SlicesReady):
            self._ready(event.count)
        elif isinstance(event, RunProgress):
            self._reached(event.done * self._total)
        elif isinstance(event, TileProgress):
            self._reached(event.done / event.total * self._total)
        elif isinstance(event, SliceReady):
            self._finished(event)
        elif isinstance(event, LabelsReady):
            self._labels.append(event.image)

    def _opened(self, event: Opened) -> None:
        place, plan = self._place, self._plan
        self._marks = result_marks(
            place.layer,
            place.z_axis,
            place.index,
            plan.schedule,
            event.synthetic,
            event.provenance,
            event.partial,
        )
        self._began, self._before = time.perf_counter(), None
        if plan.output is None:
            self._stack = np.empty(
                (len(plan.schedule.slices), *plan.volume.shape[1:]), plan.volume.dtype
            )
            self._levels = [self._stack]

    def _add(self, data: Any, marks: LayerMarks, **more: Any) -> None:
        self.layer = self._viewer.add_image(
            data, metadata=marks.to_metadata(), **self._attributes, **more
        )

    def _reached(self, done: float) -> None:
        """So many slices are computed, those of an earlier run of the same included."""
        if self._before is None:
            self._before = done if self._plan.output else 0.0
        seconds = time.perf_counter() - self._began
        rate = (done - self._before) / seconds if seconds else 0.0
        left = (self._total - done) / rate if rate else float("inf")
        self._on_progress(SliceProgress(done, self._total, rate, left))
        # Last, since napari's bars let Qt handle what waits, this run's end perhaps. They count in
        # whole numbers.
        if (whole := int(done)) > self._bar.n:
            self._bar.update(whole - self._bar.n)

    def _finished(self, event: SliceReady) -> None:
        if self._stack is not None:
            self._stack[event.index] = event.image
        if event.index in self._marks.marked:
            self._digests[event.index] = slice_digest(event.image)
        self._ready(event.index + 1)

    def _ready(self, depth: int) -> None:
        """The first slices of the result are there."""
        late = self.layer is None or time.perf_counter() - self._drawn > _REFRESH
        if self._levels and late and depth > self._shown:
            self._grow(depth)
            self._shown, self._drawn = depth, time.perf_counter()

    def _grow(self, depth: int) -> None:
        """Show the slices that are there, and no others: they may be saved by any writer."""
        axis, ndim = self._place.z_axis, self._place.layer.ndim
        levels = [expand_axes(level[:depth], ndim, axis) for level in self._levels]
        marks = replace(
            self._marks,
            synthetic=tuple(z for z in self._marks.synthetic if z < depth),
            partial={z: part for z, part in self._marks.partial.items() if z < depth},
            parents={z: p for z, p in self._marks.parents.items() if z < depth},
            depth=depth,
            digests={z: digest for z, digest in self._digests.items() if z < depth},
            computed=depth,
        )
        pyramid = self._stack is None
        if self.layer is None:
            self._add(levels if pyramid else levels[0], marks, multiscale=pyramid)
        else:
            self._mark(marks)
            self.layer.data = levels if pyramid else levels[0]

    def _mark(self, marks: LayerMarks) -> None:
        assert self.layer is not None
        self.layer.metadata = {**self.layer.metadata, **marks.to_metadata()}

    def _done(self, _: None) -> None:
        self._marks = replace(self._marks, digests=self._digests)
        if self._plan.output is None:
            self._show([expand_axes(self._stack, self._place.layer.ndim, self._place.z_axis)])
        else:
            try:
                self._open_result()
            except TsainError as error:
                self._failed(error)
                return
        assert self.layer is not None
        if self._labels:
            data = expand_axes(np.stack(self._labels), self._place.layer.ndim, self._place.z_axis)
            self._show_labels([data])
        elif self._plan.labels_inside:
            self._show_labels(label_levels(self._place, self._plan))
        self._end(self.layer, None)

    def _show_labels(self, levels: list[Any]) -> None:
        """Add the labels that went along, where the result lies."""
        assert self._plan.along is not None
        kept = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
        name = f"{self._plan.along.name} {self._attributes['name'].removeprefix(self._source)}"
        pyramid = len(levels) > 1
        self._viewer.add_labels(
            levels if pyramid else levels[0],
            multiscale=pyramid,
            name=" ".join(name.split()),
            **{key: self._attributes[key] for key in kept},
        )

    def _open_result(self) -> None:
        """Show the file, which has its name now, with its pyramid."""
        levels, marks = result_levels(self._place, self._plan)
        self._marks = as_written(self._marks, self._plan.output, marks)
        self._show(levels)

    def _show(self, levels: list[Any]) -> None:
        """Show all of the result."""
        if self.layer is None:
            pyramid = len(levels) > 1
            self._add(levels if pyramid else levels[0], self._marks, multiscale=pyramid)
        else:
            self._mark(self._marks)
            self.layer.data = levels if self.layer.multiscale else levels[0]

    def _failed(self, error: Exception) -> None:
        self._take_back()
        self._end(None, error)

    def _stopped(self) -> None:
        self._take_back()
        self._end(None, None)

    def _take_back(self) -> None:
        self._bar.close()
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _layer_removed(self, event: Any) -> None:
        if self.layer is not None and event.value == self.layer:  # one of them is a proxy
            self.layer = None
            self._queue.cancel()

    def _end(self, layer: Image | None, error: Exception | None) -> None:
        self._viewer.layers.events.removed.disconnect(self._layer_removed)
        self._bar.close()
        self._stack = None
        self._on_end(layer, error)


def result_attributes(place: LayerSlot, plan: LayerRunPlan) -> dict[str, Any]:
    """Name and place of a result's layer."""
    first, step = plan.schedule.slices[0].position, plan.schedule.step
    placed = placed_like(place.layer, place.z_axis, place.index, float(first), float(step))
    return {"name": f"{place.layer.name} {_what(plan)}", **placed}


def result_levels(place: LayerSlot, plan: LayerRunPlan) -> tuple[list[Any], dict[str, Any]]:
    """(levels of a result that lies on disk, what the reader says of it)."""
    from ..io import layer_data

    assert plan.output is not None
    data, attributes, _ = layer_data(plan.output)
    levels = data if attributes.get("multiscale") else [data]
    levels = [expand_axes(level, place.layer.ndim, place.z_axis) for level in levels]
    return levels, dict(attributes.get("metadata", {}).get(METADATA_KEY, {}))


def label_levels(place: LayerSlot, plan: LayerRunPlan) -> list[Any]:
    """Levels of the labels that lie in a result on disk."""
    from tsain_core.volumes import open_pyramid

    assert plan.output is not None and plan.along is not None
    levels = open_pyramid(plan.output / "labels" / plan.along.group)
    return [expand_axes(level.data, place.layer.ndim, place.z_axis) for level in levels]


def as_written(marks: LayerMarks, path: Path | None, read: dict[str, Any]) -> LayerMarks:
    """Marks of a result, with what the reader says of its file."""
    digests = {int(z): str(digest) for z, digest in read.get("digests", {}).items()}
    form = str(read.get("format", ""))
    return replace(marks, source=str(path), format=form, digests=digests)


def show_result(viewer: napari.Viewer, place: LayerSlot, plan: LayerRunPlan) -> Image:
    """Open a result that lies on disk as a layer where its source lies.

    Raises
    ------
    TsainError
        If it cannot be read.
    """
    levels, read = result_levels(place, plan)
    marks = result_marks(
        place.layer,
        place.z_axis,
        place.index,
        plan.schedule,
        tuple(read.get("synthetic_slices", ())),
        read.get("provenance", {}),
        {int(z): part for z, part in read.get("partial_slices", {}).items()},
    )
    marks = as_written(marks, plan.output, read)
    data = levels if len(levels) > 1 else levels[0]
    return viewer.add_image(
        data,
        multiscale=len(levels) > 1,
        metadata=marks.to_metadata(),
        **result_attributes(place, plan),
    )


def check_memory(plan: LayerRunPlan) -> None:
    """Refuse a result that memory cannot hold.

    Raises
    ------
    TsainError
    """
    import torch

    _, height, width = plan.volume.shape
    needed = len(plan.schedule.slices) * height * width * plan.volume.dtype.itemsize
    free = free_memory(torch.device("cpu"))
    if needed > 0.8 * free:
        raise TsainError(
            f"The result takes {format_bytes(needed)}, and {format_bytes(free)} of memory are "
            "free; expected a file to write to: choose Output: OME-Zarr."
        )


def _what(plan: LayerRunPlan) -> str:
    """What a result is, for its layer's name."""
    step = plan.schedule.step
    slices = plan.schedule.slices
    if slices[0].before != 0 or slices[-1].after != plan.volume.shape[0] - 1:
        return f"{slices[0].before} to {slices[-1].after} ({plan.choice.label})"
    if step == 1:
        return f"repaired ({plan.choice.label})"
    factor = f"x{1 / step}" if (1 / step).denominator == 1 else f"z step {float(step):.3g}"
    return f"{factor} ({plan.choice.label})"
