"""The canvas: its width, and what to do while layers go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    import napari


def remove_layers_safely(viewer: napari.Viewer) -> None:
    """Make the canvas's own OpenGL context current whenever a layer goes.

    napari 0.9 sends all waiting OpenGL commands when a layer is removed, without making a context
    current first. Commands of the canvas, such as hiding a text on it, then reach the context in
    which Qt composes the window, and Mesa's software OpenGL (VNC, virtual machines) crashes at the
    next frame.
    """
    kept = ref(viewer)

    def removing(_: Any) -> None:
        if (alive := kept()) is not None:
            _make_current(alive)

    viewer.layers.events.removing.connect(removing)


def canvas_width(viewer: Any) -> int:
    """Width of the canvas in Qt's pixels; 0 of a viewer without a window."""
    return max((widget.width() for widget in _canvases(viewer)), default=0)


def _make_current(viewer: Any) -> None:
    for widget in _canvases(viewer):
        if widget.isValid():
            widget.makeCurrent()


def _canvases(viewer: Any) -> list[Any]:
    window = getattr(getattr(viewer, "window", None), "_qt_window", None)
    if window is None:  # a viewer without a window
        return []
    return [widget for widget in window.findChildren(QWidget) if hasattr(widget, "makeCurrent")]
