"""The dock "Sampling offsets"."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from tsain_core.errors import TsainError
from tsain_core.sampling import QueryPoints, SamplingProbe, trace_steps
from tsain_core.tiles import Region

from .._closing import Closing
from .._marks import HELPER_KEY, layer_marks, z_axis_of
from .._notify import notify_error
from .._origin import SliceOrigin, slice_origin
from .._result import placed_like
from .._stack import level_0, stack_axes
from .._synthetic_notice import watch
from .._view import current_index, go_to_slice, slice_on_screen, visible_rectangle
from .._worker import JobQueue
from ._controls import MapForm, QueryForm, SourceForm
from ._jobs import ProbeCache, query, view_map
from ._overlay import REAL, TRACE, Overlay, Place
from ._picker import Picker

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_STILL = 30  # milliseconds that a dragged query has to rest before something is computed


class SamplingOffsets(QWidget):
    """Where the network sampled for a pixel of a computed slice.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari gives it to a parameter of this name.
    """

    def __init__(self, napari_viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer = napari_viewer
        self._queue, self._cache = JobQueue(), ProbeCache()
        self._overlay = Overlay(viewer)
        self._picker = Picker(viewer, self._picked)
        self._map: Any = None
        self._at: tuple[float, float] | None = None
        self._z: int | None = None
        self.source, self.query, self.map = SourceForm(viewer), QueryForm(), MapForm()
        self.status = QLabel("Switch on Pick points, and click into a computed slice.")
        self.status.setWordWrap(True)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_STILL)
        self._timer.timeout.connect(self._compute)
        layout = QVBoxLayout(self)
        for widget in (self.source, _line(), self.query, _line(), self.map, _line(), self.status):
            layout.addWidget(widget)
        layout.addStretch(1)
        self._connect()
        self._source_changed()

    def _connect(self) -> None:
        viewer = self._viewer
        self.source.changed.connect(self._source_changed)
        self.query.pick.toggled.connect(self._picker.switch)
        self.query.changed.connect(self._look_again)
        self.query.jump.connect(self._jump)
        self.map.compute.clicked.connect(self._compute_map)
        self.map.cancel.clicked.connect(self._queue.cancel)
        watch(viewer)
        stack = Closing(self).stack
        events = (
            (viewer.layers.events.inserted, self._layers_changed),
            (viewer.layers.events.removed, self._layers_changed),
            (viewer.dims.events.point, self._moved),
        )
        for event, slot in events:
            event.connect(slot)
            stack.callback(event.disconnect, slot)
        stack.callback(self._overlay.clear)
        stack.callback(self._picker.switch, False)
        stack.callback(self._queue.abandon)

    # What is looked at

    def _origin(self) -> SliceOrigin:
        layer = self.source.layer
        if layer is None:
            raise TsainError(
                "No layer has computed slices; expected a result of Interpolate slices: make one."
            )
        if self._z is None:
            raise TsainError("No slice is on screen; expected a view of y and x: go to a slice.")
        here = current_index(self._viewer, layer)
        index = tuple(here[axis] for axis in stack_axes(layer, z_axis_of(layer)))
        return slice_origin(layer, self._z, self._viewer.layers, index)

    def _key(self, layer: Any) -> tuple[Any, ...]:
        here = current_index(self._viewer, layer)
        others = tuple(here[axis] for axis in stack_axes(layer, z_axis_of(layer)))
        return layer.unique_id, self._z, others, self.source.model

    def _place(self, layer: Any, z: float) -> Place:
        index: list[float] = list(current_index(self._viewer, layer))
        index[z_axis_of(layer)] = z
        return Place(index)

    def _picked(self, position: Any) -> None:
        layer = self.source.layer
        if layer is None:
            self._say_error(TsainError("No layer has computed slices; make one first."))
            return
        z = slice_on_screen(self._viewer, layer, z_axis_of(layer))
        y, x = (float(v) for v in np.asarray(layer.world_to_data(position))[-2:])
        height, width = level_0(layer).shape[-2:]
        if z is None or not (0 <= round(y) < height and 0 <= round(x) < width):
            return
        self._at, self._z = (float(round(y)), float(round(x))), z
        self._show_query(layer)
        self._look_again()

    def _show_query(self, layer: Image) -> None:
        assert self._at is not None and self._z is not None
        y, x = (np.array([v]) for v in self._at)
        self._overlay.show_query(layer, self._place(layer, self._z).at_yx(y, x)[0])

    def _look_again(self) -> None:
        """Show the points of the query: at once where nothing is computed for it."""
        layer = self.source.layer
        if layer is None or self._at is None:
            return
        start = time.perf_counter()
        probe = self._cache.ready(self._key(layer), *self._at)
        if probe is None or self._queue.busy:
            self._timer.start()
        else:
            self._show(probe, start)

    def _compute(self) -> None:
        layer, at = self.source.layer, self._at
        if layer is None or at is None:
            return
        try:
            origin = self._origin()
        except TsainError as error:
            self._say_error(error)
            return
        key, marks, model = self._key(layer), layer_marks(layer), self.source.model
        start = time.perf_counter()
        self._queue.start(
            lambda: query(self._cache, key, origin, marks, model, *at),
            on_done=lambda probe: self._show(probe, start) if self._at == at else None,
            on_error=self._failed,
        )

    def _show(self, probe: SamplingProbe, start: float) -> None:
        layer = self.source.layer
        if layer is None or self._at is None or self._z is None:
            return
        points = probe.at(*self._at)
        place = self._place(layer, self._z)
        self._overlay.follow(layer)
        if self.query.composed:
            self._overlay.show_steps(layer, points, place, ())
            fields = probe.fields_round(*self._at).rsab
            self._overlay.show_trace(layer, trace_steps(fields, points.y, points.x), place)
        else:
            self._overlay.hide(TRACE)
            self._overlay.show_steps(layer, points, place, self.query.steps)
        self._show_real(layer, points)
        self.query.offer(points)
        spent = 1000 * (time.perf_counter() - start)
        y, x = (int(v) for v in self._at)
        self._say(f"Slice {self._z}, y {y}, x {x}: {_summary(points)} ({spent:.0f} ms)")

    def _show_real(self, layer: Any, points: QueryPoints) -> None:
        chosen = self.query.in_real_slices(points)
        if not chosen:
            self._overlay.hide(REAL)
            return
        origin = self._origin()
        sides = {
            side: (taps, self._place(layer, origin.before_z if side == 0 else origin.after_z))
            for side, taps in chosen.items()
        }
        self._overlay.show_real(layer, sides)

    # What changed

    def _source_changed(self) -> None:
        marks = layer_marks(self.source.layer) if self.source.layer is not None else None
        made_by = str(marks.provenance.get("model", "")) if marks else ""
        if made_by and not self.source.follow(made_by):
            self._say(
                f"The slices were made by {made_by!r}, which samples nowhere; shown is where "
                f"{self.source.model!r} would sample."
            )
        elif marks and (passes := marks.provenance.get("ensemble")):
            self._say(
                f"The slices are averages of {passes} passes; shown is where the first of them "
                "sampled, which saw the slices as they are."
            )
        self._at = None
        self._overlay.clear()

    def _layers_changed(self, event: Any) -> None:
        if event.type == "removed":
            self._overlay.forget(event.value)
            if self._map is not None and event.value == self._map:
                self._map = None
        if not self._overlay.owns(event.value):
            self.source.refresh()

    def _moved(self, _: Any = None) -> None:
        """Another computed slice is on screen: the query moves there."""
        layer = self.source.layer
        if layer is None or self._at is None:
            return
        z = slice_on_screen(self._viewer, layer, z_axis_of(layer))
        if z is None or z == self._z or z not in layer_marks(layer).synthetic:
            return
        self._z = z
        self._show_query(layer)
        self._look_again()

    def _jump(self, where: str) -> None:
        layer = self.source.layer
        if layer is None or self._z is None:
            return
        try:
            origin = self._origin()
        except TsainError as error:
            self._say_error(error)
            return
        z = {"before": origin.before_z, "after": origin.after_z}.get(where, float(self._z))
        go_to_slice(self._viewer, layer, z_axis_of(layer), z)

    # Maps

    def _compute_map(self) -> None:
        layer = self.source.layer
        if layer is not None:
            self._z = slice_on_screen(self._viewer, layer, z_axis_of(layer))
        try:
            origin = self._origin()
        except TsainError as error:
            self._say_error(error)
            return
        assert layer is not None and self._z is not None
        seen = visible_rectangle(layer)
        region = Region(seen.y0, seen.x0, seen.y1, seen.x1)
        key, marks, model = self._key(layer), layer_marks(layer), self.source.model
        kind, part, z = self.map.kind, self.map.part, self._z
        self.map.set_running(True)
        self._queue.start(
            lambda: view_map(self._cache, key, origin, marks, model, region, kind, part),
            on_event=lambda event: self.map.show_progress(*event),
            on_done=lambda image: self._show_map(layer, image, region, z),
            on_error=self._failed,
            on_cancel=lambda: self.map.set_running(False),
        )

    def _show_map(self, layer: Image, image: Any, region: Region, z: int) -> None:
        self.map.set_running(False)
        axis = z_axis_of(layer)
        index = list(current_index(self._viewer, layer))
        others = tuple(index[a] for a in stack_axes(layer, axis))
        placed = placed_like(layer, axis, others, z, 1.0)
        index[axis] = z
        index[-2:] = region.y0, region.x0
        world = np.asarray(layer.data_to_world(index))
        keep = ("scale", "rotate", "shear", "affine", "units", "axis_labels")
        attributes = {name: placed[name] for name in keep}
        attributes["translate"] = np.asarray(layer.affine.inverse(world))
        if self._map is not None and self._map in self._viewer.layers:
            self._viewer.layers.remove(self._map)
        active = self._viewer.layers.selection.active
        limits = (0.0, max(float(np.percentile(image, 99.5)), 1e-3))
        self._map = self._viewer.add_image(
            image.reshape((1,) * (layer.ndim - 2) + image.shape),
            name=f"Map: {self.map.title}",
            colormap="inferno",
            opacity=0.6,
            blending="translucent",
            contrast_limits=limits,
            metadata={HELPER_KEY: "map"},
            **attributes,
        )
        self._viewer.layers.selection.active = active
        self._say(
            f"{self.map.title}: median {np.median(image):.2f}, 99 % within "
            f"{np.percentile(image, 99):.2f}, over {region.shape[0]} x {region.shape[1]} px."
        )

    def _failed(self, error: Exception) -> None:
        self.map.set_running(False)
        self._say(notify_error(error))

    def _say_error(self, error: Exception) -> None:
        self._say(str(error))

    def _say(self, text: str) -> None:
        self.status.setText(text)


def _summary(points: QueryPoints) -> str:
    """Mean length of the steps' offsets, weighted by their masks."""
    lengths = [
        float((t.mask * np.hypot(t.dy, t.dx)).sum() / max(t.mask.sum(), 1e-6)) for t in points.rsab
    ]
    return "mean offsets " + ", ".join(f"{v:.1f}" for v in lengths) + " px in steps 1 to 3"


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line
