"""The dock "Sampling offsets"."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFrame, QLabel, QWidget

from tsain_core.errors import TsainError
from tsain_core.inference.region import Region
from tsain_core.offsets import QueryPoints, SamplingProbe, trace_steps

from ..layers.listening import PLACING, choose_selected, listen_to_images
from ..layers.origin import SliceOrigin, slice_origin
from ..layers.provenance import HELPER_KEY, layer_marks, z_axis_of
from ..layers.stack import level_0, stack_axes
from ..layers.synthetic_notice import watch
from ..layers.view import camera_of, current_index, go_to_slice, slice_on_screen, visible_rectangle
from ..widgets.closing import Closing
from ..widgets.model_added import MODEL_ADDED
from ..widgets.notifications import notify_error
from ..widgets.scrolling import scrolled_layout
from ..widgets.wording import in_dock_words
from ..widgets.worker import JobQueue
from ._controls import MapForm, QueryForm, SliceForm
from ._map_layer import MapLayer
from ._overlay import REAL, TRACE, Overlay, SliceCoordinates
from ._picker import Picker, show_slices, view_fault
from ._worker_tasks import ProbeCache, query, view_map

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_HINT = "Switch on Pick points, and click into a computed slice."
_STILL = 30  # milliseconds that a dragged query has to rest before something is computed


class SamplingPanel(QWidget):
    """Where the network sampled for a pixel of a computed slice.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QWidget, optional
        The dock that the panel is in.
    """

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._queue, self._cache = JobQueue(), ProbeCache()
        self._overlay, self._map = Overlay(viewer), MapLayer(viewer)
        self._picker = Picker(viewer, self._picked)
        self._origins: dict[Any, SliceOrigin] = {}
        self._version = 0  # of the layers' data
        self._at: tuple[float, float] | None = None
        self._z: int | None = None
        self.source, self.query, self.map = SliceForm(viewer), QueryForm(), MapForm()
        self.status = QLabel(_HINT)
        self.status.setWordWrap(True)
        self._timer, self._dropping, self._zooming = (QTimer(self) for _ in range(3))
        slots = ((self._timer, _STILL, self._compute), (self._dropping, 0, self._drop_helpers))
        for timer, interval, slot in (*slots, (self._zooming, _STILL, self._overlay.zoomed)):
            timer.setSingleShot(True)
            timer.setInterval(interval)
            timer.timeout.connect(slot)
        layout = scrolled_layout(self)
        for widget in (self.source, _line(), self.query, _line(), self.map, _line(), self.status):
            layout.addWidget(widget)
        layout.addStretch(1)
        choose_selected(viewer, self.source.layer_box)
        self._connect()
        self._source_changed()

    def _connect(self) -> None:
        viewer, camera = self._viewer, camera_of(self._viewer)
        self.source.changed.connect(self._source_changed)
        self.query.pick.toggled.connect(self._picker.switch)
        self.query.turn.clicked.connect(lambda: show_slices(viewer))
        self.query.changed.connect(self._look_again)
        self.query.jump.connect(self._jump)
        self.map.compute.clicked.connect(self._compute_map)
        self.map.cancel.clicked.connect(self._queue.cancel)
        watch(viewer)
        closing = Closing(self.parentWidget() or self, delete=True)
        stack = closing.stack
        events = (
            (viewer.layers.events.inserted, self._layers_changed),
            (viewer.layers.events.removed, self._layers_changed),
            (viewer.dims.events.point, self._moved),
            (viewer.dims.events.order, self._turned),
            (viewer.dims.events.ndisplay, self._turned),
            (camera.events.zoom, self._zoomed),
        )
        for event, slot in events:
            event.connect(slot)
            stack.callback(event.disconnect, slot)
        listen_to_images(viewer, ("name", "metadata"), self._relabelled, stack)
        listen_to_images(viewer, ("data",), self._data_changed, stack)
        listen_to_images(viewer, PLACING, self._moved_in_space, stack)
        MODEL_ADDED.arrived.connect(self._news)
        stack.callback(MODEL_ADDED.arrived.disconnect, self._news)
        stack.callback(self._queue.abandon)
        for undo in (self._overlay.clear, self._map.clear, lambda: self._picker.switch(False)):
            closing.in_window.callback(undo)

    # What is looked at

    def _origin(self) -> SliceOrigin:
        layer = self.source.layer
        if layer is None:
            raise TsainError(
                "No layer has computed slices; expected a result of Interpolate slices: make one."
            )
        if not self.source.model:
            raise TsainError("No model file is named; a .safetensors file is needed.")
        if fault := view_fault(self._viewer, layer):
            raise TsainError(fault)
        if self._z is None:
            raise TsainError(f"No slice of {layer.name!r} is on screen; go to one of them.")
        key = self._key(layer)[:-1]
        if key not in self._origins:
            index = self._others(layer)
            self._origins = {key: slice_origin(layer, self._z, self._viewer.layers, index)}
        return self._origins[key]

    def _origin_or_say(self) -> SliceOrigin | None:
        """The origin of the slice on screen; None where there is none, which is told."""
        try:
            return self._origin()
        except TsainError as error:
            self._say_error(error)
            return None

    def _others(self, layer: Any) -> tuple[int, ...]:
        """Place along axes that are neither z nor y nor x."""
        here = current_index(self._viewer, layer)
        return tuple(here[axis] for axis in stack_axes(layer, z_axis_of(layer)))

    def _key(self, layer: Any) -> tuple[Any, ...]:
        others = self._others(layer)
        return layer.unique_id, self._version, self._z, others, self.source.model

    def _place(self, layer: Any, z: float) -> SliceCoordinates:
        index: list[float] = list(current_index(self._viewer, layer))
        index[z_axis_of(layer)] = z
        return SliceCoordinates(index)

    def _picked(self, position: Any) -> None:
        layer = self.source.layer
        if layer is None:
            self._say_error(TsainError("No layer has computed slices; make one first."))
            return
        if fault := view_fault(self._viewer, layer):
            self._say(fault)
            return
        z = slice_on_screen(self._viewer, layer, z_axis_of(layer))
        y, x = (float(v) for v in np.asarray(layer.world_to_data(position))[-2:])
        height, width = level_0(layer).shape[-2:]
        if z is None or not (0 <= round(y) < height and 0 <= round(x) < width):
            self._say(f"That is beside {layer.name!r}: click into one of its slices.")
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
        if (origin := self._origin_or_say()) is None:
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
        layer = self.source.layer
        self._at = None
        # not now: the layer of before may just be going, and others must not go in the same event
        self._dropping.start()
        if layer is not None and (note := self.source.follow(layer_marks(layer).provenance)):
            self._say(note)
        self._turned()

    def _drop_helpers(self) -> None:
        """Take away what belongs to a layer that is gone, or not looked at any more."""
        layers = self._viewer.layers
        if self._overlay.of is not None and self._overlay.of not in layers:
            self._at = None
        if self._at is None:
            self._overlay.clear()
        if self._map.of is not None and self._map.of not in layers:
            self._map.clear()

    def _layers_changed(self, event: Any) -> None:
        if event.type == "removed":
            self._overlay.forget(event.value)
            self._map.forget(event.value)
            self._dropping.start()
        if not (self._overlay.owns(event.value) or self._map.owns(event.value)):
            self._origins = {}
            self.source.refresh()

    def _relabelled(self, _: Any) -> None:
        self.source.refresh()

    def _data_changed(self, event: Any) -> None:
        """The slices are others now: nothing that was computed holds."""
        if event.source.metadata.get(HELPER_KEY):
            return
        self._version += 1
        self._origins = {}
        if self.source.layer is not None and event.source == self.source.layer:
            self._at = None
            self._dropping.start()
        self.source.refresh()  # whether it is a result depends on its data
        if self._at is not None:
            self._look_again()

    def _moved_in_space(self, event: Any) -> None:
        layer = self.source.layer
        if layer is not None and event.source == layer:
            self._overlay.follow(layer)
            self._overlay.zoomed()
        if self._map.of is not None and event.source == self._map.of:
            self._map.follow()

    def _news(self, _: str) -> None:
        self.source.refresh_models()

    def _zoomed(self, _: Any = None) -> None:
        if not self._zooming.isActive():
            self._zooming.start()

    def _turned(self, _: Any = None) -> None:
        """Other axes are on screen: say what to do where no slices are seen."""
        layer = self.source.layer
        fault = view_fault(self._viewer, layer) if layer is not None else ""
        if fault:
            self._say(fault)
        elif self.query.turn.isVisibleTo(self.query):
            self._say(_HINT)
        self.query.turn.setVisible(bool(fault))

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
        if (origin := self._origin_or_say()) is None:
            return
        z = {"before": origin.before_z, "after": origin.after_z}.get(where, float(self._z))
        go_to_slice(self._viewer, layer, z_axis_of(layer), z)

    # Maps

    def _compute_map(self) -> None:
        layer = self.source.layer
        if layer is not None:
            self._z = slice_on_screen(self._viewer, layer, z_axis_of(layer))
        if (origin := self._origin_or_say()) is None:
            return
        assert layer is not None and self._z is not None
        region = visible_rectangle(layer)
        key, marks, model = self._key(layer), layer_marks(layer), self.source.model
        kind, part, index = self.map.kind, self.map.part, current_index(self._viewer, layer)
        self.map.set_running(True)
        self._queue.start(
            lambda: view_map(self._cache, key, origin, marks, model, region, kind, part),
            on_event=lambda event: self.map.show_progress(*event),
            on_done=lambda image: self._show_map(layer, image, region, index),
            on_error=self._failed,
            on_cancel=lambda: self.map.set_running(False),
        )

    def _show_map(self, layer: Image, image: Any, region: Region, index: tuple[int, ...]) -> None:
        self.map.set_running(False)
        if layer not in self._viewer.layers:  # it went meanwhile
            return
        self._map.show(image, f"Map: {self.map.title}", layer, index, region)
        self._say(
            f"{self.map.title}: median {np.median(image):.2f}, 99 % within "
            f"{np.percentile(image, 99):.2f}, over {region.shape[0]} x {region.shape[1]} px."
        )

    def _failed(self, error: Exception) -> None:
        self.map.set_running(False)
        self._say(notify_error(error))

    def _say_error(self, error: Exception) -> None:
        self._say(in_dock_words(error))

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
