"""The slice between, for what is on screen, as soon as the viewer stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from tsain_core.errors import TsainError
from tsain_core.intensity import IntensityRange
from tsain_core.schedule import OutputSlice
from tsain_core.volumes import Volume

from .._marks import HELPER_KEY
from .._synthetic_notice import watch
from .._view import Rectangle, central, shows_plane, visible_rectangle
from .._wording import in_dock_words
from .._worker import JobQueue
from ._jobs import ModelCache, Preview, preview
from ._model import ModelChoice

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

#: Largest side of what is computed, in pixels.
LARGEST = 1024
_STILL = 200  # milliseconds that the viewer has to stand still


@dataclass(frozen=True)
class PreviewWish:
    """What to preview: a slice of a stack, with a model, on its layer."""

    layer: Image
    volume: Volume
    slice: OutputSlice
    choice: ModelChoice


class PreviewLayer(QObject):
    """A 2D layer over the stack that shows the computed slice, or what it is compared with.

    Being 2D, it is seen wherever the sliders stand.

    Parameters
    ----------
    viewer : napari.Viewer
    queue : JobQueue
    models : ModelCache
    wish : callable () -> PreviewWish
        What should be seen now; raises TsainError with the reason where nothing can be.
    status : callable (str)
        Told in a line what is seen.
    failed : callable (Exception)
        Told what went wrong in the computation.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        queue: JobQueue,
        models: ModelCache,
        wish: Callable[[], PreviewWish],
        status: Callable[[str], None],
        failed: Callable[[Exception], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._queue, self._models = viewer, queue, models
        self._wish, self._status, self._failed = wish, status, failed
        self.layer: Image | None = None
        self.on = False
        self._shown = "Interpolated"
        self._preview: Preview | None = None
        self._key: tuple[Any, ...] | None = None
        self._ranges: dict[str, IntensityRange] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_STILL)
        self._timer.timeout.connect(self._compute)

    def switch(self, on: bool) -> None:
        """Begin to show previews, or stop and take the layer away."""
        if on == self.on:
            return
        self.on = on
        self._key = None
        if on:
            self._compute()
            return
        self._timer.stop()
        self._preview = None
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def moved(self) -> None:
        """The viewer or the wish may be another: look again when it stands still."""
        if self.on:
            self._timer.start()

    def compare(self, what: str) -> None:
        """Show "Interpolated", "Mean", "Before" or "After"."""
        self._shown = what
        self._show()

    def forget_ranges(self) -> None:
        """The stack is another one."""
        self._ranges = {}

    def layer_removed(self, layer: Any) -> bool:
        """Whether the layer that was removed was this one's."""
        if self.layer is None or layer != self.layer:  # one of them is a proxy
            return False
        self.layer = None
        return True

    def _compute(self) -> None:
        if not self.on:
            return
        try:
            wish = self._wish()
            if not shows_plane(self._viewer):
                raise TsainError("The preview needs y and x on screen: switch to the 2D view.")
        except TsainError as error:
            self._hide(in_dock_words(error))
            return
        seen = visible_rectangle(wish.layer)
        rectangle = central(seen, LARGEST)
        s = wish.slice
        key = (id(wish.layer), s.before, s.after, s.fraction, rectangle, wish.choice)
        if key == self._key:
            return
        self._key = key
        self._status(f"Computing the preview between slices {s.before} and {s.after} ...")
        if self.layer is not None and self._preview is not None:
            self.layer.visible = False  # an old slice must not pass for this one
        self._queue.start(
            lambda: preview(wish.volume, s, rectangle, wish.choice, self._models, self._ranges),
            on_done=lambda done: self._arrived(done, wish, rectangle, rectangle != seen),
            on_error=self._broke,
        )

    def _hide(self, why: str) -> None:
        self._key = None
        if self.layer is not None:
            self.layer.visible = False
        self._status(why)

    def _broke(self, error: Exception) -> None:
        self._key = None
        self._failed(error)

    def _arrived(self, done: Preview, wish: PreviewWish, rectangle: Rectangle, cut: bool) -> None:
        if not self.on or wish.layer not in self._viewer.layers:
            return
        self._preview = done
        placed = _placed_2d(wish.layer, rectangle)
        s = wish.slice
        if self.layer is None:
            self.layer = self._viewer.add_image(
                done.images[self._shown],
                name="Preview",
                metadata={HELPER_KEY: "preview"},
                contrast_limits=list(wish.layer.contrast_limits),
                colormap=wish.layer.colormap,
                gamma=wish.layer.gamma,
                **placed,
            )
            self._viewer.layers.selection.active = wish.layer
        else:
            self.layer.data = done.images[self._shown]
            for name, value in placed.items():
                setattr(self.layer, name, value)
        self.layer.metadata = {
            HELPER_KEY: "preview",
            "between": [s.before, s.after],
            "model": wish.choice.label,
        }
        self.layer.visible = True
        self._show()
        part = f"; the middle {LARGEST} px, zoom in for the rest" if cut else ""
        self._status(
            f"Preview between slices {s.before} and {s.after} in {done.seconds:.1f} s "
            f"({done.device}){part}."
        )

    def _show(self) -> None:
        if self.layer is None or self._preview is None:
            return
        self.layer.data = self._preview.images[self._shown]
        self.layer.metadata = {**self.layer.metadata, "shown": self._shown}
        watch(self._viewer).update()  # napari tells nobody of metadata


def _placed_2d(layer: Image, rectangle: Rectangle) -> dict[str, Any]:
    """Where a rectangle of a layer's slices lies, for a 2D layer."""
    corner = np.zeros(layer.ndim)
    corner[-2:] = rectangle.y0, rectangle.x0
    linear = np.asarray(layer.affine.linear_matrix)[-2:, -2:]
    shift = np.asarray(layer.affine.translate)[-2:]
    affine = np.eye(3)
    affine[:2, :2], affine[:2, 2] = linear, shift
    start = np.asarray(layer.affine.inverse(np.asarray(layer.data_to_world(corner))))
    return {
        "scale": np.asarray(layer.scale)[-2:],
        "rotate": np.asarray(layer.rotate)[-2:, -2:],
        "shear": _shear_2d(layer.shear),
        "translate": start[-2:],
        "affine": affine,
        "units": layer.units[-2:],
        "axis_labels": layer.axis_labels[-2:],
    }


def _shear_2d(shear: Any) -> Any:
    """The y-x part of a shear, which napari keeps as a vector of the upper triangle or a matrix."""
    values = np.asarray(shear)
    return values[-1:] if values.ndim == 1 else values[-2:, -2:]
