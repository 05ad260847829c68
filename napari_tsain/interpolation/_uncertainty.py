"""The button that maps how far computed grey values may be off, as a layer over the result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from tsain_core.errors import TsainError
from tsain_core.inference.intensity import estimate_range
from tsain_core.inference.models import open_model
from tsain_core.stack_check import Checked
from tsain_core.uncertainty import Calibration, find_calibration, uncertainty_maps

from ..layers.provenance import HELPER_KEY
from ..layers.result import expand_axes, placed_like
from ..widgets.closing import Closing
from ..widgets.notifications import notify_error
from ..widgets.source_form import SourceForm
from ..widgets.wording import in_dock_words
from ..widgets.worker import JobQueue
from ._run import LayerSlot, check_memory
from ._worker_tasks import LayerRunPlan

if TYPE_CHECKING:
    import napari


class UncertaintyRow(QWidget):
    """Computes maps for the slices that a run would compute, and shows them as a layer.

    Parameters
    ----------
    viewer : napari.Viewer
    source : SourceForm
    plan : callable
        Gives the run that the dock's choices stand for, kept in memory.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        source: SourceForm,
        plan: Callable[[], LayerRunPlan],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._source, self._plan = viewer, source, plan
        self._queue = JobQueue()
        self.button = QPushButton()
        self.button.clicked.connect(self._clicked)
        self.text = QLabel()
        self.text.setWordWrap(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.button)
        row.addWidget(self.text, 1)
        Closing(self).stack.callback(self._queue.abandon)
        self._ended("")

    def _clicked(self) -> None:
        if self._queue.busy:
            self._queue.cancel()
            return
        try:
            plan = self._plan()
            try:
                check_memory(plan)
            except TsainError as error:
                raise TsainError(
                    "The maps take as much memory as the result, which is not free; let the "
                    "command write them: tsain interpolate --uncertainty."
                ) from error
            if not plan.schedule.synthetic:
                raise TsainError(
                    "No slice is computed as a whole; choose slices to compute, then map them."
                )
        except TsainError as error:
            self.text.setText(in_dock_words(error))
            return
        assert self._source.layer is not None
        place = LayerSlot(self._source.layer, self._source.z_axis, self._source.index)
        self._running()
        self._queue.start(
            lambda: _work(plan),
            on_event=lambda event: self.text.setText(
                f"Uncertainty: {event.done} of {event.total} slices"
            ),
            on_done=lambda result: self._arrived(place, plan, *result),
            on_error=lambda error: self._ended(notify_error(error)),
            on_cancel=lambda: self._ended("Stopped; no layer was added."),
        )

    def _arrived(
        self,
        place: LayerSlot,
        plan: LayerRunPlan,
        maps: NDArray[Any],
        found: Calibration,
    ) -> None:
        if place.layer not in self._viewer.layers:
            self._ended("The stack was closed; no layer was added.")
            return
        start, step = plan.schedule.slices[0].position, plan.schedule.step
        shown = maps[list(plan.schedule.synthetic)]
        looks = {
            "colormap": "inferno",
            "contrast_limits": (0.0, max(float(np.percentile(shown, 99.5)), 1.0)),
            "opacity": 0.6,
            "blending": "translucent_no_depth",
        }
        placed = placed_like(place.layer, place.z_axis, place.index, float(start), float(step))
        active = self._viewer.layers.selection.active
        self._viewer.add_image(
            expand_axes(maps, place.layer.ndim, place.z_axis),
            name=f"uncertainty of {plan.choice.label}, 90 % within +- grey levels",
            metadata={HELPER_KEY: "uncertainty"},
            **placed | looks,
        )
        self._viewer.layers.selection.active = active
        self._ended(f"90 % intervals; calibrated on {found.origin}.")

    def _running(self) -> None:
        self.button.setText("Stop")
        self.button.setToolTip("Stop; no layer is added")

    def _ended(self, text: str) -> None:
        self.text.setText(text)
        self.button.setText("Uncertainty")
        self.button.setToolTip(
            "Map how far the grey values of the computed slices may be off, in a layer that "
            "follows the slice: half the width of the interval that holds 90 % of the true grey "
            "values. Takes two passes a slice"
        )


def _work(plan: LayerRunPlan) -> Generator[Checked, None, tuple[NDArray[Any], Calibration]]:
    volume, schedule = plan.volume, plan.schedule
    model = open_model(plan.choice.name, plan.choice.settings.plain)
    found = yield from find_calibration(volume, plan.choice.name, model)
    intensity = estimate_range(volume, model.scaling)
    maps = np.zeros((len(schedule.slices), *volume.shape[1:]), volume.dtype)
    for ready in uncertainty_maps(volume, schedule, model, found, intensity):
        maps[ready.index] = ready.image
        yield Checked(ready.index + 1, len(maps))
    return maps, found
