"""Moving through a stack by its real slices only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..layers.provenance import layer_marks, z_axis_of
from ..layers.stack import level_0
from ..layers.view import go_to_slice, slice_on_screen

if TYPE_CHECKING:
    import napari


class RealSlicesOnly:
    """While it is on, the viewer steps over computed slices, on in the direction it came."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self.on = False
        self._last: dict[int, int] = {}  # id of a layer -> slice it showed

    def switch(self, on: bool) -> None:
        """Begin or stop."""
        self.on = on
        self._last = {}
        self.moved()

    def moved(self, _: Any = None) -> None:
        """The viewer moved: go on to a real slice."""
        if not self.on:
            return
        for layer in reversed(self._viewer.layers):
            if layer.visible and layer.ndim > 2 and layer_marks(layer).synthetic:
                self._step_over(layer)
                return

    def _step_over(self, layer: Any) -> None:
        axis = z_axis_of(layer)
        z = slice_on_screen(self._viewer, layer, axis)
        if z is None:
            return
        synthetic = set(layer_marks(layer).synthetic)
        came_from = self._last.get(id(layer), z)
        if z in synthetic:
            z = _next_real(z, -1 if z < came_from else 1, synthetic, level_0(layer).shape[axis])
            self._last[id(layer)] = z
            go_to_slice(self._viewer, layer, axis, z)
        self._last[id(layer)] = z


def _next_real(z: int, direction: int, synthetic: set[int], depth: int) -> int:
    """The next real slice in a direction, or the other way where there is none."""
    for way in (direction, -direction):
        i = z
        while 0 <= i < depth:
            if i not in synthetic:
                return i
            i += way
    return z
