"""While a computed slice is on screen, the viewer says so."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from .canvas import canvas_width, remove_layers_safely
from .provenance import layer_marks, z_axis_of
from .view import shows_slices, slice_on_screen

if TYPE_CHECKING:
    import napari

_COLOR = "#ffb454"
_SIZE, _LETTER = 11, 11  # points; pixels that a letter of that size is wide at most
_SHORTEST_LINE, _LONGEST_LINE = 16, 80  # letters
# one notice a viewer, however many docks and readers ask for it
_NOTICES: WeakKeyDictionary[Any, SyntheticNotice] = WeakKeyDictionary()


def watch(viewer: napari.Viewer) -> SyntheticNotice:
    """See to it that a viewer says when a computed slice is on screen."""
    real = getattr(viewer, "__wrapped__", viewer)  # widgets are given a proxy
    if real not in _NOTICES:
        _NOTICES[real] = SyntheticNotice(real)
    return _NOTICES[real]


def watch_current_viewer() -> None:
    """`watch` the viewer in front, if there is one."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        watch(viewer)


class SyntheticNotice:
    """The line on the canvas; what the user had written there comes back when it goes."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = ref(viewer)
        self._kept: dict[str, Any] | None = None
        self.text = ""
        #: What docks add: who adds it -> the line, where no computed slice is on screen.
        self.also: dict[Any, Callable[[], str]] = {}
        remove_layers_safely(viewer)
        for event in (viewer.dims.events.point, viewer.dims.events.order):
            event.connect(self.update)
        viewer.dims.events.ndisplay.connect(self.update)
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self.update)
        for layer in viewer.layers:
            self._listen(layer)
        self.update()

    def update(self, _: Any = None) -> None:
        """Look what is on screen."""
        viewer = self._viewer()
        if viewer is None:
            return
        lines = (_line(viewer, layer) for layer in reversed(viewer.layers) if layer.visible)
        others = (line() for line in self.also.values())
        text = next((line for line in chain(lines, others) if line), "")
        if text != self.text:
            self.text = text
            self._write(viewer)

    def _inserted(self, event: Any) -> None:
        self._listen(event.value)
        self.update()

    def _listen(self, layer: Any) -> None:
        for event in (layer.events.visible, layer.events.name, layer.events.data):
            event.connect(self.update)

    def _write(self, viewer: napari.Viewer) -> None:
        overlay = _text_overlay(viewer)
        if self.text:
            if self._kept is None:
                names = ("text", "visible", "color", "font_size", "position")
                self._kept = {name: getattr(overlay, name) for name in names}
                overlay.color, overlay.font_size, overlay.position = _COLOR, _SIZE, "top_center"
            width = canvas_width(viewer) // _LETTER or _LONGEST_LINE
            overlay.text = textwrap.fill(self.text, max(width, _SHORTEST_LINE))
            overlay.visible = True
        elif self._kept is not None:
            for name, value in self._kept.items():
                setattr(overlay, name, value)
            self._kept = None


def _text_overlay(viewer: napari.Viewer) -> Any:
    canvas = getattr(viewer, "canvas", None)  # napari 0.9; before that the viewer itself had it
    return canvas.overlays.text if canvas is not None else viewer.text_overlay


def _line(viewer: napari.Viewer, layer: Any) -> str:
    """What is to be said of a layer; empty if it shows nothing computed."""
    if preview := layer.metadata.get("between"):
        return _preview_line(layer, preview)
    marks = layer_marks(layer)
    if marks.doubt:
        return _doubtful(layer, marks.doubt)
    if not marks.marked or layer.ndim < 3:
        return ""
    axis = z_axis_of(layer)
    model = marks.provenance.get("model", "")
    by = f" by {model}" if model else ""
    if not shows_slices(viewer, layer, axis):
        whole, parts = len(marks.synthetic), len(marks.partial)
        some = f"{whole} of the slices are SYNTHETIC" if whole else ""
        some += " and " if whole and parts else ""
        some += f"parts of {parts} slices are SYNTHETIC" if parts else ""
        return f"{some}, computed{by}"
    z = slice_on_screen(viewer, layer, axis)
    if z is None or z not in marks.marked:
        return ""
    if isinstance(layer.data, np.ndarray) and (doubt := layer_marks(layer, z).doubt):
        return _doubtful(layer, doubt)  # changed in place; to read others again would take time
    if z not in marks.synthetic:
        pixels = marks.partial[z].get("pixels")
        count = f"{pixels} pixels" if pixels is not None else "some pixels"
        return f"Slice {z} is PARTLY SYNTHETIC: {count} computed{by}"
    return f"Slice {z} is SYNTHETIC, computed{by}"


def _doubtful(layer: Any, doubt: str) -> str:
    return f"Slices of {layer.name} may be SYNTHETIC: its marks do not fit, {doubt}"


def _preview_line(layer: Any, between: list[int]) -> str:
    before, after = between
    values = layer.metadata
    shown = values.get("shown", "Interpolated")
    place = values.get("place", "1/2")
    at = "" if place == "1/2" else f" at {place}"
    line = {
        "Interpolated": f"PREVIEW: SYNTHETIC between slices {before} and {after}{at}, by "
        f"{values.get('model', '')}",
        "Mean": f"PREVIEW: SYNTHETIC, mean of slices {before} and {after}{at}",
        "Before": f"PREVIEW: slice {before}, real",
        "After": f"PREVIEW: slice {after}, real",
    }[shown]
    if awaited := values.get("awaited"):
        line += f"; the one between {awaited[0]} and {awaited[1]} is being computed"
    return line
