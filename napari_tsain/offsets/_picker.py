"""Setting the query point with the mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..layers.provenance import z_axis_of

if TYPE_CHECKING:
    import napari


def view_fault(viewer: napari.Viewer, layer: Any) -> str:
    """Why no place in a slice can be picked in this view, and what to do; empty if it can."""
    if viewer.dims.ndisplay != 2:
        return "The view is in 3D, and points are picked in a slice: press Show y and x."
    first = viewer.dims.ndim - layer.ndim
    shown = [axis - first for axis in viewer.dims.displayed]
    if set(shown) == {layer.ndim - 2, layer.ndim - 1}:
        return ""
    known = {z_axis_of(layer): "z", layer.ndim - 2: "y", layer.ndim - 1: "x"}
    others = {a: str(label) for a, label in enumerate(layer.axis_labels)}
    names = " and ".join((others | known).get(axis, "another axis") for axis in shown)
    return f"The view shows {names}, and sampling points lie in y and x: press Show y and x."


def show_slices(viewer: napari.Viewer) -> None:
    """Turn the view so that y and x are on screen."""
    viewer.dims.ndisplay = 2
    viewer.dims.order = tuple(range(viewer.dims.ndim))


class Picker:
    """While it is on, clicking and dragging on the canvas picks places instead of panning.

    Parameters
    ----------
    viewer : napari.Viewer
    picked : callable (position)
        Told a place in world coordinates.
    """

    def __init__(self, viewer: napari.Viewer, picked: Callable[[Any], None]) -> None:
        self._viewer, self._picked = viewer, picked
        self.on = False
        self._held: Any = None  # the layer that must not be panned

    def switch(self, on: bool) -> None:
        """Begin or stop."""
        if on == self.on:
            return
        self.on = on
        callbacks, active = self._viewer.mouse_drag_callbacks, self._viewer.layers.selection.events
        if on:
            callbacks.append(self._drag)
            active.active.connect(self._hold)
        else:
            callbacks.remove(self._drag)
            active.active.disconnect(self._hold)
        self._hold()

    def _hold(self, _: Any = None) -> None:
        """Keep napari from panning with the active layer, and let go of the one before."""
        if self._held is not None:
            self._held.mouse_pan = True
        self._held = self._viewer.layers.selection.active if self.on else None
        if self._held is not None:
            self._held.mouse_pan = False

    def _drag(self, _: Any, event: Any) -> Iterator[None]:
        if event.button != 1 or event.modifiers:
            return
        self._picked(event.position)
        yield
        while event.type == "mouse_move":
            self._picked(event.position)
            yield
