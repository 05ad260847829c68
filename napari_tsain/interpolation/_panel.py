"""The controls of the dock "Interpolate slices"."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QFrame, QLabel, QWidget

from tsain_core.errors import TsainError
from tsain_core.interpolation.estimate import SliceCost
from tsain_core.interpolation.request import HERE
from tsain_core.interpolation.schedule import by_factor

from ..layers.provenance import layer_marks
from ..layers.stored_grey import stored_grey_note
from ..layers.synthetic_notice import watch
from ..layers.view import camera_of
from ..widgets.animation import animate
from ..widgets.closing import Closing
from ..widgets.notifications import notify_error
from ..widgets.scrolling import scrolled_layout
from ..widgets.source_form import SourceForm
from ..widgets.wording import in_dock_words
from ..widgets.worker import JobQueue
from ._check import CheckLine
from ._cluster_run import AnyRun, ClusterRun
from ._damage_list import DamageList
from ._labels_form import LabelsForm
from ._model import ModelForm
from ._output import OutputForm
from ._parts_form import PartsForm
from ._plans import Forms, command_for, plan_of
from ._preview import PreviewLayer, PreviewRequest
from ._real_slices_only import RealSlicesOnly
from ._report import ReportRow
from ._run import LayerRun, LayerSlot, SliceProgress, check_memory
from ._run_controls import PreviewBar, RunBar
from ._saving import ResultSaver
from ._selection_form import MARK_KEY, Mode, SelectionForm
from ._summaries import command_of, cost_of, effect_of, made_of
from ._uncertainty import UncertaintyRow
from ._worker_tasks import LayerRunPlan, ModelCache, cost, plan_for

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_SETTLED = 400  # milliseconds without a change before the cost is looked at
_CALM = 10  # percent of the speed of napari's animation, while a run goes on


class InterpolationPanel(QWidget):
    """Interpolate slices of an Image layer: preview, run, compare, save.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QWidget
        The dock.
    """

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._queue, self._models = JobQueue(), ModelCache()
        self._run: AnyRun | None = None
        self._costs: dict[Any, SliceCost] = {}
        self.source, self.selection, self.model = SourceForm(viewer), SelectionForm(), ModelForm()
        self.output, self.preview_bar, self.bar = OutputForm(), PreviewBar(), RunBar()
        self.check = CheckLine(self.source, self.model, self._queue)
        self.report = ReportRow(viewer, self.source, self.model)
        self.uncertainty = UncertaintyRow(viewer, self.source, self._maps_plan)
        self.damage = DamageList(viewer, self.source, self.selection, self._say)
        self.labels = LabelsForm(viewer, self.source)
        self.parts = PartsForm(viewer, self.source, self.selection)
        self.effect = QLabel()
        self.effect.setWordWrap(True)
        self._preview = PreviewLayer(
            viewer,
            self._queue,
            self._models,
            self._preview_request,
            self._say,
            self.preview_bar.show_progress,
            self._show_error,
            self,
        )
        self.saver = ResultSaver(viewer, self._say, self._saving, self._show_error)
        self._skip = RealSlicesOnly(viewer)
        self._settling = QTimer(self)
        self._settling.timeout.connect(self._estimate)
        self._settling.setSingleShot(True)
        self._settling.setInterval(_SETTLED)
        self._lay_out()
        self._connect()
        self._stack_changed()

    def _lay_out(self) -> None:
        layout = scrolled_layout(self)
        layout.setSpacing(6)
        parts = (
            (self.source, self.selection, self.effect),
            (self.model, self.check, self.report, self.uncertainty),
            (self.output, self.labels),
            (self.preview_bar,),
            (self.bar,),
        )
        for i, part in enumerate(parts):
            if i:
                line = QFrame()
                line.setFrameShape(QFrame.Shape.HLine)
                layout.addWidget(line)
            for widget in part:
                layout.addWidget(widget)
        layout.addStretch(1)

    def _connect(self) -> None:
        viewer, camera = self._viewer, camera_of(self._viewer)
        self.source.changed.connect(self._stack_changed)
        self.selection.changed.connect(self._changed)
        self.selection.slice_chosen.connect(self.source.go_to)
        self.selection.mark_pressed.connect(self._mark_current)
        self.selection.take_current.clicked.connect(
            lambda: self.selection.set_pair(self.source.here)
        )
        self.parts.changed.connect(self._changed)
        self.labels.changed.connect(self._changed)
        self.model.changed.connect(self._changed)
        self.check.stopped.connect(self._settling.start)
        self.output.changed.connect(self._changed)
        self.preview_bar.button.toggled.connect(self._switch_preview)
        self.preview_bar.compare.changed.connect(
            lambda: self._preview.compare(self.preview_bar.compare.value)
        )
        self.bar.run.clicked.connect(self._start)
        self.bar.cancel.clicked.connect(self._cancel)
        self.bar.command.clicked.connect(self._copy_command)
        self.bar.save.clicked.connect(lambda: self.saver.ask(self))
        self.bar.real_only.toggled.connect(self._skip.switch)
        closing = Closing(self.parentWidget() or self, delete=True)
        stack = closing.stack
        selected = viewer.layers.selection.events.active
        events = (
            (selected, self._offer_saving),
            (viewer.layers.events.inserted, self._layers_changed),
            (viewer.layers.events.removed, self._layers_changed),
            (viewer.dims.events.point, self._moved),
            (viewer.dims.events.order, self._moved),
            (viewer.dims.events.ndisplay, self._moved),
            (camera.events.zoom, self._moved),
            (camera.events.center, self._moved),
        )
        for event, slot in events:
            event.connect(slot)
            stack.callback(event.disconnect, slot)
        viewer.bind_key(MARK_KEY, lambda _: self._mark_current(), overwrite=True)
        stack.callback(viewer.bind_key, MARK_KEY, None)
        stack.callback(self._queue.abandon)
        stack.callback(self.saver.abandon)
        stack.callback(self._preview.release)
        stack.callback(self._leave, False)
        # first, where the window stays: what is ours and unfinished is taken out of it
        closing.in_window.callback(self._leave, True)
        closing.in_window.callback(self._preview.switch, False)

    # What is wanted now

    @property
    def _forms(self) -> Forms:
        return self.source, self.selection, self.parts, self.model, self.output, self.labels

    def _plan(self) -> LayerRunPlan:
        return plan_of(*self._forms)

    def _maps_plan(self) -> LayerRunPlan:
        return plan_for(self.source.stack(), self.selection.chosen, self.model.choice)

    def _preview_request(self) -> PreviewRequest:
        volume, choice, layer = self.source.stack(), self.model.choice, self.source.layer
        assert layer is not None
        depth, here = volume.shape[0], self.source.here
        if self.selection.mode is Mode.REPLACE:
            damaged = {*self.selection.damaged_or_none(), here}
            made = by_factor(depth, 1, damaged, choice.any_position)
            chosen = made.slices[here]
        else:
            # a slice that the result will have: the one nearest to the middle of the gap ahead
            middle = min(here, depth - 2) + Fraction(1, 2)
            made = plan_for(volume, self.selection.chosen, choice).schedule
            synthetic = (s for s in made.slices if s.synthetic)
            chosen = min(synthetic, key=lambda s: abs(s.position - middle))
        return PreviewRequest(layer, volume, chosen, made.damaged, choice)

    # What changed

    def _layers_changed(self, event: Any) -> None:
        if event.type == "removed" and self._preview.layer_removed(event.value):
            self.preview_bar.button.setChecked(False)
        self.source.refresh()
        self.parts.refresh()
        self.labels.refresh()
        self._changed()

    def _stack_changed(self) -> None:
        self._preview.forget()
        self.check.forget()
        self.damage.stack_changed()
        try:
            volume = self.source.stack()
        except TsainError:
            self._changed()
            return
        assert self.source.layer is not None
        if word := self.model.for_stack(volume.source or self.source.layer.name):
            self._say(word)
        self.selection.set_stack(volume.shape[0], volume.voxel_size, volume.unit, self.source.here)
        self._changed()

    def _changed(self) -> None:
        why_not = ""
        try:
            plan = self._plan()
            self.effect.setText(effect_of(plan, stored_grey_note(self.source.layer)))
        except TsainError as error:
            why_not = in_dock_words(error)
            self.effect.setText(why_not)
        running, saving = self._run is not None, self.saver.share is not None
        self.bar.set_running(running, "A result is being saved" if saving else why_not)
        if saving:
            self.bar.show_saving(self.saver.share)
        self._offer_saving()
        source = self._source_fault()
        self.preview_bar.allow("A run is going on" if running else source)
        if source:
            self.preview_bar.button.setChecked(False)
        self._preview.moved()
        self.bar.estimate.setText("")
        self._settling.start()

    def _source_fault(self) -> str:
        try:
            self.source.stack()
        except TsainError as error:
            return in_dock_words(error)
        return ""

    def _moved(self, _: Any = None) -> None:
        self._skip.moved()
        self.source.refresh_place()
        self._preview.moved()

    def _mark_current(self) -> None:
        if self.source.layer is None:
            return
        self.selection.mode_box.choose(Mode.REPLACE)
        self.selection.toggle_damaged(self.source.here)

    # What it would take

    def _estimate(self) -> None:
        self.check.stop_outdated()
        if self._queue.busy or self._run is not None or self._preview.on:
            return
        try:
            plan = self._plan()
        except TsainError:
            self.check.begin()  # what it is waiting for, perhaps
            return
        key = (plan.volume.shape[1:], plan.volume.dtype, plan.choice)
        if key in self._costs:
            self.bar.estimate.setText(cost_of(plan, self._costs[key]))
            self.check.begin()
            return

        def arrived(one: SliceCost) -> None:
            self._costs[key] = one
            self._estimate()

        self._queue.start(
            lambda: cost(plan.volume, plan.choice, self._models),
            on_done=arrived,
            # not the result of a click: no notification
            on_error=lambda error: self.bar.estimate.setText(
                f"No estimate: {in_dock_words(error)}"
            ),
        )

    # Preview and run

    def _switch_preview(self, on: bool) -> None:
        self.preview_bar.show_compare(on)
        self._preview.switch(on)
        if not on:
            self._queue.cancel()
            self._say("")
            self._settling.start()

    def _start(self) -> None:
        try:
            plan = self._plan()
            assert self.source.layer is not None
            place = LayerSlot(self.source.layer, self.source.z_axis, self.source.index)
            if plan.output is None:
                check_memory(plan)
        except TsainError as error:
            self._show_error(error)
            return
        self.bar.set_running(True, "")
        self.bar.progress.setValue(0)
        self._say("Starting ...")
        self.preview_bar.button.setChecked(False)
        try:
            self._run = self._new_run(place, plan)
        except TsainError as error:
            self._ended(None, error)
            return
        self.output.restart_box.value = False  # what this run leaves is to be gone on with
        animate(self.window(), _CALM)
        self._changed()

    def _new_run(self, place: LayerSlot, plan: LayerRunPlan) -> AnyRun:
        if plan.request.cluster == HERE:
            return LayerRun(
                self._viewer, place, plan, self._models, self._queue, self._progress, self._ended
            )
        command = command_of(plan)
        return ClusterRun(self._viewer, place, plan, command, self._progress, self._ended)

    def _progress(self, progress: SliceProgress) -> None:
        self.bar.show_progress(progress)
        watch(self._viewer).update()

    def _cancel(self) -> None:
        if self._run is not None:
            self._say("Stopping ...")
            self._run.cancel()
        else:
            self.saver.cancel()

    def _ended(self, layer: Image | None, error: Exception | None) -> None:
        self._run = None
        animate(self.window(), 100)
        if error is not None:
            self._show_error(error)
        elif layer is None:
            goes_on = "the same run goes on where it stopped"
            self._say(f"Cancelled; {goes_on if self.output.on_disk else 'nothing was kept'}.")
        else:
            self.saver.last = layer
            self.output.written = self.output.chosen
            self._say(f"Done: {layer.name}, {made_of(layer_marks(layer))}.")
        self._changed()
        watch(self._viewer).update()

    def _leave(self, viewer_stays: bool) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.abandon(viewer_stays)

    def _saving(self, share: float | None) -> None:
        self.bar.show_saving(share)
        if share in (0.0, None):
            self._changed()

    def _offer_saving(self, _: Any = None) -> None:
        if self._run is not None:
            why_not = "A run is going on"
        elif self.saver.share is not None:
            why_not = "A result is being saved"
        else:
            why_not = "" if self.saver.layer else "There is no result yet: press Run"
        self.bar.allow_save(why_not)

    def _copy_command(self) -> None:
        try:
            command = self.command_line()
        except TsainError as error:
            self._show_error(error)
            return
        if clipboard := QApplication.clipboard():
            clipboard.setText(command)
        self._say(f"Copied: {command}")

    def command_line(self) -> str:
        """See `command_for`."""
        return command_for(self._forms)

    def _say(self, text: str) -> None:
        self.bar.status.setText(text)

    def _show_error(self, error: Exception) -> None:
        self._say(notify_error(error))
