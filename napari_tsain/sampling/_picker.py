"""Setting the query point with the mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import napari


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
