"""The slice between, for what is on screen, as soon as the viewer stands still."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from tsain_core.errors import TsainError
from tsain_core.inference.intensity import IntensityRange
from tsain_core.inference.region import Region
from tsain_core.interpolation.interpolate import TileProgress
from tsain_core.interpolation.schedule import OutputSlice
from tsain_core.volumes import Volume

from ..layers.layer_listener import LayerListener
from ..layers.provenance import HELPER_KEY
from ..layers.synthetic_notice import watch
from ..layers.view import central, shows_plane, visible_rectangle
from ..widgets.wording import in_dock_words
from ..widgets.worker import JobQueue
from ._model import ModelChoice
from ._preview_task import Compared, Preview, preview
from ._worker_tasks import ModelCache

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

#: Largest side of what is computed, in pixels.
LARGEST = 1024
_STILL = 200  # milliseconds that the viewer has to stand still
_KEPT = 12  # previews that are there at once when the viewer goes back
_LOOKS = ("contrast_limits", "colormap", "gamma", "interpolation2d")


@dataclass(frozen=True)
class PreviewRequest:
    """What to preview: a slice of a stack, with a model, on its layer.

    The brightness of slices that are `damaged` counts for nothing.
    """

    layer: Image
    volume: Volume
    slice: OutputSlice
    damaged: frozenset[int]
    choice: ModelChoice


@dataclass(frozen=True)
class _Shown:
    """A preview and what it is of."""

    preview: Preview
    slice: OutputSlice
    rectangle: Region
    cut: bool
    label: str


class PreviewLayer(QObject):
    """A 2D layer over the stack that shows the computed slice, or what it is compared with.

    Being 2D, it is seen wherever the sliders stand. It looks as its source does, also when that is
    changed.

    Parameters
    ----------
    viewer : napari.Viewer
    queue : JobQueue
    models : ModelCache
    request : callable () -> PreviewRequest
        What should be seen now; raises TsainError with the reason where nothing can be.
    status : callable (str)
        Told in a line what is seen.
    progress : callable (float or None)
        Told which share of a preview is computed; None when nothing is.
    failed : callable (Exception)
        Told what went wrong in the computation.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        queue: JobQueue,
        models: ModelCache,
        request: Callable[[], PreviewRequest],
        status: Callable[[str], None],
        progress: Callable[[float | None], None],
        failed: Callable[[Exception], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._queue, self._models = viewer, queue, models
        self._request, self._status, self._progress, self._failed = (
            request,
            status,
            progress,
            failed,
        )
        self.layer: Image | None = None
        self.on = False
        self._what = Compared.INTERPOLATED
        self._shown: _Shown | None = None
        self._key: tuple[Any, ...] | None = None
        self._ranges: dict[str, IntensityRange] = {}
        self._cache: OrderedDict[tuple[Any, ...], _Shown] = OrderedDict()
        self._looks = LayerListener(_LOOKS, self._follow)
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
        self.stop()
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def stop(self) -> None:
        """Compute nothing more, and hear of nothing."""
        self._timer.stop()
        self._shown = None
        self._progress(None)
        self.release()

    def release(self) -> None:
        """Hear of the source no more; nothing of Qt need be there."""
        self._looks.stop()

    def moved(self) -> None:
        """View or selection may have changed: look again, at once if the preview is known."""
        if not self.on:
            return
        self._timer.start()
        try:
            request = self._request()
        except TsainError:
            return
        if shows_plane(self._viewer) and self._key_of(request)[0] in self._cache:
            self._timer.stop()
            self._compute()

    def compare(self, what: Compared) -> None:
        """Show another of the images."""
        self._what = what
        self._show()

    def forget(self) -> None:
        """The stack is another one, or lies elsewhere."""
        self._ranges, self._key = {}, None
        self._cache.clear()

    def layer_removed(self, layer: Any) -> bool:
        """Whether the layer that was removed was this one's."""
        if self.layer is None or layer != self.layer:  # one of them is a proxy
            return False
        self.layer = None
        return True

    def _key_of(self, request: PreviewRequest) -> tuple[tuple[Any, ...], Region, bool]:
        seen = visible_rectangle(request.layer)
        rectangle = central(seen, LARGEST)
        s = request.slice
        what = s.before, s.after, s.fraction, request.damaged
        key = (request.layer.unique_id, *what, rectangle, request.choice)
        return key, rectangle, rectangle != seen

    def _compute(self) -> None:
        if not self.on:
            return
        try:
            request = self._request()
            if not shows_plane(self._viewer):
                raise TsainError(_no_plane(self._viewer))
        except TsainError as error:
            self._hide(in_dock_words(error))
            return
        key, rectangle, cut = self._key_of(request)
        if key == self._key:
            return
        self._key = key
        if key in self._cache:
            self._cache.move_to_end(key)
            self._queue.cancel()
            self._progress(None)
            self._present(self._cache[key], request)
            return
        s = request.slice
        self._status(f"Computing the preview between slices {s.before} and {s.after} ...")
        self._progress(0.0)
        self._await(s)
        self._queue.start(
            lambda: preview(
                request.volume,
                s,
                request.damaged,
                rectangle,
                request.choice,
                self._models,
                self._ranges,
            ),
            on_event=self._step,
            on_done=lambda done: self._arrived(
                key, _Shown(done, s, rectangle, cut, request.choice.label), request
            ),
            on_error=self._broke,
            on_cancel=lambda: self._progress(None),
        )

    def _step(self, event: Any) -> None:
        if isinstance(event, TileProgress):
            self._progress(event.done / max(event.total, 1))

    def _hide(self, why: str) -> None:
        self._key = None
        self._progress(None)
        if self.layer is not None:
            self.layer.visible = False
        self._status(why)

    def _broke(self, error: Exception) -> None:
        self._key = None
        self._progress(None)
        self._failed(error)

    def _arrived(self, key: tuple[Any, ...], shown: _Shown, request: PreviewRequest) -> None:
        self._progress(None)
        if not self.on or request.layer not in self._viewer.layers:
            return
        self._cache[key] = shown
        while len(self._cache) > _KEPT:
            self._cache.popitem(last=False)
        self._present(shown, request)

    def _present(self, shown: _Shown, request: PreviewRequest) -> None:
        self._shown = shown
        image = shown.preview.images[self._what]
        placed = _placed_2d(request.layer, shown.rectangle)
        if self.layer is None:
            self.layer = self._viewer.add_image(
                image,
                name="Preview",
                metadata={HELPER_KEY: "preview"},
                contrast_limits=list(request.layer.contrast_limits),
                **placed,
            )
            self._viewer.layers.selection.active = request.layer
        else:
            self.layer.data = image
            for name, value in placed.items():
                setattr(self.layer, name, value)
        self._looks.listen(request.layer)
        self._follow()
        self.layer.visible = True
        self._show()
        s = shown.slice
        part = f"; the middle {LARGEST} px, zoom in for the rest" if shown.cut else ""
        at = f", at {s.fraction} of the way" if s.fraction * 2 != 1 else ""
        self._status(
            f"Preview between slices {s.before} and {s.after}{at}, in "
            f"{shown.preview.seconds:.1f} s ({shown.preview.device}){part}."
        )

    def _follow(self, _: Any = None) -> None:
        """Look as the source does."""
        if self.layer is None or self._looks.layer is None:
            return
        for name in _LOOKS:
            setattr(self.layer, name, getattr(self._looks.layer, name))

    def _await(self, s: OutputSlice) -> None:
        """Say on the canvas that the picture is not the one that is wanted now."""
        if self.layer is not None and self._shown is not None:
            self.layer.metadata = {**self.layer.metadata, "awaited": [s.before, s.after]}
            watch(self._viewer).update()  # napari tells nobody of metadata

    def _show(self) -> None:
        if self.layer is None or self._shown is None:
            return
        s = self._shown.slice
        self.layer.data = self._shown.preview.images[self._what]
        self.layer.metadata = {
            HELPER_KEY: "preview",
            "between": [s.before, s.after],
            "place": str(s.fraction),
            "model": self._shown.label,
            "shown": self._what.value,
        }
        watch(self._viewer).update()  # napari tells nobody of metadata


def _no_plane(viewer: Any) -> str:
    """Why a view that does not show y and x has no preview."""
    if viewer.dims.ndisplay == 3:
        return "The preview needs y and x on screen: switch to the 2D view (Ctrl-Y)."
    labels = [viewer.dims.axis_labels[axis] for axis in viewer.dims.displayed]
    return (
        f"The preview needs y and x on screen, and the view shows {' and '.join(labels)}: turn it "
        "back with the button Roll dimensions (Ctrl-E)."
    )


def _placed_2d(layer: Image, rectangle: Region) -> dict[str, Any]:
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
