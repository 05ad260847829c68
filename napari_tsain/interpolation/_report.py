"""The button that makes a report on the stack, and the layer of errors that comes with it."""

from __future__ import annotations

import html
import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QWidget

from tsain_core.errors import TsainError
from tsain_core.inference.models import InferenceSettings, default_model
from tsain_core.stack_report import (
    ErrorStack,
    Progress,
    StackReport,
    check_folder,
    report_on,
    write_folder,
)
from tsain_core.volumes import Volume

from ..layers.provenance import HELPER_KEY
from ..layers.result import expand_axes, placed_like
from ..widgets.closing import Closing
from ..widgets.notifications import notify_error
from ..widgets.source_form import SourceForm
from ..widgets.wording import in_dock_words
from ..widgets.worker import JobQueue
from ._model import AUTO, ModelForm
from ._run import LayerSlot

if TYPE_CHECKING:
    import napari

_LINK = "#3b8eea"  # seen on dark and light; Qt's own blue is not on dark
_REACH = 64.0  # grey levels that have the strongest colour


class ReportRow(QWidget):
    """Makes a report on the chosen stack and model, and says how far it is.

    Parameters
    ----------
    viewer : napari.Viewer
    source : SourceForm
    model : ModelForm
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        source: SourceForm,
        model: ModelForm,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._source, self._model = viewer, source, model
        self._queue = JobQueue()
        self.button = QPushButton()
        self.button.clicked.connect(self._clicked)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setOpenExternalLinks(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.button)
        row.addWidget(self.text, 1)
        Closing(self).stack.callback(self._queue.abandon)
        self._running(False)

    def _clicked(self) -> None:
        if self._queue.busy:
            self._queue.cancel()
            return
        proposed = f"{self._title()}-report"
        name, _ = QFileDialog.getSaveFileName(self, "A new folder for the report", proposed)
        if name:
            self.make(Path(name))

    def make(self, folder: Path) -> None:
        """Make a report in a thread, and write it to a folder."""
        try:
            volume, choice = self._source.stack(), self._model.choice
            check_folder(folder)
        except TsainError as error:
            self.text.setText(html.escape(in_dock_words(error)))
            return
        assert self._source.layer is not None
        place = LayerSlot(self._source.layer, self._source.z_axis, self._source.index)
        name = choice.name if choice.name != AUTO else default_model()
        title = self._title()
        self._running(True)
        self._queue.start(
            lambda: _work(volume, name, choice.settings, title, folder),
            on_event=self._progress,
            on_done=lambda result: self._arrived(place, *result),
            on_error=self._failed,
            on_cancel=lambda: self._ended("Stopped; nothing was written."),
        )

    def _title(self) -> str:
        layer = self._source.layer
        try:
            source = self._source.stack().source
        except TsainError:
            source = ""
        name = os.path.basename(source.rstrip("/\\")) or (layer.name if layer else "stack")
        return name.replace("/", "_")

    def _progress(self, event: Progress) -> None:
        self.text.setText(html.escape(f"{event.what}: {event.done} of {event.total} slices"))

    def _failed(self, error: Exception) -> None:
        self._ended(html.escape(notify_error(error)))

    def _arrived(self, place: LayerSlot, report: StackReport, page: Path) -> None:
        if place.layer in self._viewer.layers:
            self._add_errors(place, report)
        link = html.escape(page.absolute().as_uri(), quote=True)
        opened = f'<a href="{link}" style="color: {_LINK}">Open the report</a>'
        self._ended(f"{opened}; {len(report.cautions)} warnings")
        self.text.setToolTip(html.escape(" ".join(report.sentences())))

    def _add_errors(self, place: LayerSlot, report: StackReport) -> None:
        """Computed minus real, over the stack; what was not left out is transparent."""
        layer, axis = place.layer, place.z_axis
        looks = {
            "colormap": "PiYG",
            "contrast_limits": (-_REACH, _REACH),
            "opacity": 0.6,
            "blending": "translucent_no_depth",
        }
        active = self._viewer.layers.selection.active
        self._viewer.add_image(
            expand_axes(error_stack(report.errors), layer.ndim, axis),
            name=f"errors of {report.chosen}",
            metadata={HELPER_KEY: "errors"},
            **placed_like(layer, axis, place.index, 0.0, 1.0) | looks,
        )
        self._viewer.layers.selection.active = active
        self._source.go_to(report.worst[0].z)

    def _ended(self, text: str) -> None:
        self._running(False)
        self.text.setText(text)

    def _running(self, running: bool) -> None:
        self.button.setText("Stop" if running else "Report ...")
        self.button.setToolTip(
            "Stop; nothing is written"
            if running
            else "Leave some slices of this stack out, compute them with this model and others, "
            "and write a page: scores with intervals, what misleads, the worst slices. Adds a "
            "layer of errors"
        )
        self.text.setToolTip("")


def error_stack(errors: ErrorStack) -> da.Array:
    """Errors as a lazy stack (z, y, x), float32: NaN where nothing was left out.

    Whole slices are made when they are shown; what is kept is the scored crops.
    """
    depth, *plane = errors.shape
    shape = plane[0], plane[1]
    nothing = da.full(shape, np.float32(np.nan), dtype=np.float32, chunks=shape)
    made = dask.delayed(_padded, pure=True)
    slices = [
        da.from_delayed(made(errors.images[z], shape, errors.corner), shape, np.float32)
        if z in errors.images
        else nothing
        for z in range(depth)
    ]
    return da.stack(slices)


def _padded(
    image: NDArray[np.float16], shape: tuple[int, int], corner: tuple[int, int]
) -> NDArray[np.float32]:
    full = np.full(shape, np.nan, np.float32)
    y, x = corner
    full[y : y + image.shape[0], x : x + image.shape[1]] = image
    return full


def _work(
    volume: Volume, name: str, settings: InferenceSettings, title: str, folder: Path
) -> Generator[Progress, None, tuple[StackReport, Path]]:
    report = yield from report_on(volume, [name], settings, title=title)
    return report, write_folder(report, folder)[0]
