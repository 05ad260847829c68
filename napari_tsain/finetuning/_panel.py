"""The dock "Fine-tune": starts a job, watches jobs, steers them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox, QFrame, QLabel, QPushButton, QWidget

from tsain_core.errors import TsainError
from tsain_core.finetuning.finetune import FinetuneSettings, split_blocks
from tsain_core.finetuning.jobs import Job, JobState, JobView, taken_names
from tsain_core.finetuning.jobs.events import Event
from tsain_core.finetuning.jobs.run import PREVIEW
from tsain_core.interpolation.estimate import format_bytes

from ..layers.listening import PLACING, choose_selected, listen_to_images
from ..widgets.closing import Closing
from ..widgets.model_added import MODEL_ADDED
from ..widgets.notifications import notify_error
from ..widgets.scrolling import scrolled_layout
from ..widgets.source_form import SourceForm
from ..widgets.wording import duration, in_dock_words
from ..widgets.worker import JobQueue, WorkerJob
from ._curves import Curves
from ._feed import JobFeed, News
from ._forms import JobBar, SetupForm
from ._held_out import HeldOut
from ._starting import begin, check_start

if TYPE_CHECKING:
    import napari

_WAITING = {
    JobState.STARTING: "Starting: libraries are loaded, and the speed is measured ...",
    JobState.PAUSING: "Pausing after the present step ...",
    JobState.STOPPING: "Ending; unless it was cancelled, the best so far is judged ...",
    JobState.CANCELLED: "Cancelled; nothing was kept.",
}


class FineTunePanel(QWidget):
    """Tune a model to a stack, in a process of its own.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QWidget, optional
        The dock that the panel is in.
    """

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._queue, self._steering, self._feed = JobQueue(), JobQueue(), JobFeed()
        self._jobs: tuple[JobView, ...] = ()
        self._job: Job | None = None
        self._choice, self._found = 0, False
        self._state: JobState | None = None
        self._last: Event = {}
        self._verdict = ""
        self._told: set[Path] = set()
        self.source, self.setup, self.bar = SourceForm(viewer), SetupForm(), JobBar()
        self.curves, self._held_out = Curves(), HeldOut(viewer)
        self.plan = QLabel()
        self.plan.setWordWrap(True)
        self.start = QPushButton("Start")
        self.show_held_out = QCheckBox("Show a held-out slice")
        self.show_held_out.setToolTip(
            "A slice that it does not learn from: as it really is, as the model computed it "
            "before, and as it computes it now"
        )
        layout = scrolled_layout(self)
        layout.setSpacing(6)
        for widget in (self.source, self.setup, self.plan, self.start, _line(), self.bar):
            layout.addWidget(widget)
        layout.addWidget(self.curves)
        layout.addWidget(self.show_held_out)
        layout.addStretch(1)
        choose_selected(viewer, self.source.layer_box)
        self._connect()
        self._changed()
        self._watching = WorkerJob(self._feed.run(), on_event=self._hear)

    def _connect(self) -> None:
        self.source.changed.connect(self._changed)
        self.setup.changed.connect(self._changed)
        self.start.clicked.connect(self._start)
        self.bar.jobs.currentIndexChanged.connect(
            lambda index: self._choose(self.bar.jobs.itemData(index))
        )
        self.bar.pause.clicked.connect(self._pause_or_resume)
        self.bar.stop.clicked.connect(lambda: self._steer(Job.stop))
        self.bar.cancel.clicked.connect(lambda: self._steer(_cancel))
        self.show_held_out.toggled.connect(self._switch_held_out)
        closing = Closing(self.parentWidget() or self, delete=True)
        stack, events = closing.stack, self._viewer.layers.events
        for event in (events.inserted, events.removed):
            event.connect(self._layers_changed)
            stack.callback(event.disconnect, self._layers_changed)
        listen_to_images(
            self._viewer, ("name", "data", "metadata", *PLACING), self._layers_changed, stack
        )
        stack.callback(self._queue.abandon)
        stack.callback(self._feed.end)
        stack.callback(lambda: self._watching.abandon())
        stack.callback(self.curves.take_down)
        closing.in_window.callback(self._held_out.clear)

    # Settings of the job

    def _layers_changed(self, _: Any = None) -> None:
        chosen, box = self.source.layer, self.source.layer_box
        self.source.refresh()
        if self.source.layer != chosen and any(chosen == layer for layer in box.choices):
            box.value = chosen  # it only got another name
        self._changed()

    def _changed(self) -> None:
        why_not = ""
        try:
            volume, layer = self.source.stack(), self.source.layer
            assert layer is not None
            taken = taken_names() | {
                view.request.name for view in self._jobs if not view.state.over
            }
            self.setup.suggest(layer.name, taken)
            check_start(volume, self.setup.name, self.setup.multiple, taken)
            blocks = split_blocks(volume.shape[0], FinetuneSettings.held_out)
            self.plan.setText(
                f"Learns from slices {blocks.learnt_from}, each computed from its two neighbours: "
                "twice as far apart as the model will be used at. Slices "
                f"{blocks.stop[0]} to {blocks.judge[1] - 1} are held out to stop and to judge it. "
                f"The new model is called {self.setup.name}."
            )
        except TsainError as error:
            why_not = in_dock_words(error)
            self.plan.setText(why_not)
        self.start.setEnabled(not why_not and not self._queue.busy)
        self.start.setToolTip(why_not or "Learn in the background; napari may be closed meanwhile")

    def _start(self) -> None:
        try:
            volume, layer = self.source.stack(), self.source.layer
            assert layer is not None
            request = self.setup.request(volume.source, layer.name)
        except TsainError as error:
            self._show_error(error)
            return
        self.bar.status.setText("Preparing ...")
        self.start.setEnabled(False)
        self._queue.start(
            lambda: begin(request, volume),
            on_event=lambda z: self.bar.status.setText(f"Copying slice {z} of {volume.shape[0]}"),
            on_done=self._begun,
            on_error=self._show_error,
        )

    def _begun(self, job: Job) -> None:
        self.setup.name_box.value = ""  # its name is taken now
        self._choose(job)
        self._changed()

    # What goes on

    def _choose(self, job: Job | None) -> None:
        """Look at a job from its beginning."""
        self._job, self._last, self._verdict, self._state = job, {}, "", None
        self._choice, self._found = self._feed.choose(job), True
        self.curves.clear()
        self._held_out.clear()

    def _hear(self, news: News) -> None:
        changed = self._jobs != news.jobs
        self._jobs = news.jobs
        if not self._found and news.jobs:  # at first, the one at work, else the newest
            at_work = (view.job for view in news.jobs if not view.state.over)
            self._choose(next(at_work, news.jobs[0].job))
        self.bar.show_jobs(news.jobs, self._job)
        if changed:
            self._changed()
        if news.choice != self._choice or self._job is None:
            if self._job is None:
                self.bar.show_state(None)
            return
        self.curves.add(news.events)
        self._state = next((v.state for v in news.jobs if v.job == self._job), self._state)
        for event in news.events:
            if event["kind"] == "progress":
                self._last = event
            elif event["kind"] == "verdict":
                self._verdict = event["sentence"]
                self._tell(self._job, event)
        if self.show_held_out.isChecked() and any(e["kind"] == "preview" for e in news.events):
            self._show_held_out()
        self.bar.show_state(self._state)
        self._show_progress()

    def _tell(self, job: Job, event: Event) -> None:
        """Let the other docks know of a new model."""
        if job.folder not in self._told and event["model"]:
            self._told.add(job.folder)
            MODEL_ADDED.arrived.emit(Path(event["model"]).stem)
            self.setup.refresh()

    def _show_progress(self) -> None:
        assert self._job is not None
        last, state = self._last, self._state
        if last:
            self.bar.progress.setValue(round(1000 * last["step"] / max(last["steps"], 1)))
        if state is JobState.FAILED:
            self.bar.status.setText(self._job.problem())
        elif state is JobState.FINISHED:
            self.bar.status.setText(self._verdict)
        elif state in _WAITING:
            self.bar.status.setText(_WAITING[state])
        elif not last:
            paused = state is JobState.PAUSED
            self.bar.status.setText("Paused before its first step" if paused else "Starting ...")
        else:
            left = (last["steps"] - last["step"]) * last["seconds"] / max(last["step"], 1)
            words = "Paused" if state is JobState.PAUSED else f"{duration(left)} left at most"
            self.bar.status.setText(
                f"Step {last['step']} of {last['steps']}, {words}; "
                f"{format_bytes(last['memory'])} of memory"
                + (f". {last['note']}" if last["note"] else "")
            )

    def _pause_or_resume(self) -> None:
        again = self._state in (JobState.PAUSED, JobState.PAUSING, JobState.FAILED)
        self._steer(Job.resume if again else Job.pause)

    def _steer(self, action: Callable[[Job], None]) -> None:
        """Tell the job something, in a thread: ending it may take seconds."""
        job = self._job
        if job is None:
            return
        self.bar.pause.setEnabled(False)  # until it is known what came of it
        self._steering.start(
            lambda: _told(job, action),
            on_done=lambda _: self._feed.look_now(),
            on_error=self._show_error,
        )

    def _switch_held_out(self, on: bool) -> None:
        if on and self._job is not None:
            self._show_held_out()
        elif not on:
            self._held_out.clear()

    def _show_held_out(self) -> None:
        job = self._job
        assert job is not None
        stack = next((v.request.stack for v in self._jobs if v.job == job), "")
        beside = (layer for layer in self._viewer.layers if layer.name == stack)
        self._held_out.show(job.folder / PREVIEW, next(filter(_is_image, beside), None))

    def _show_error(self, error: Exception) -> None:
        self._changed()
        self.bar.status.setText(notify_error(error))
        self._feed.look_now()


def _told(job: Job, action: Callable[[Job], None]) -> Generator[None, None, None]:
    action(job)
    return
    yield


def _cancel(job: Job) -> None:
    job.cancel(timeout=3.0)


def _is_image(layer: Any) -> bool:
    return layer.ndim > 2 and not getattr(layer, "rgb", True)


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line
