"""The dock "Fine-tune": starts a job, watches jobs, steers them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

from tsain_core.errors import TsainError
from tsain_core.estimate import format_bytes
from tsain_core.jobs import Job, JobRequest, JobState, copy_input, list_jobs, make_job
from tsain_core.jobs.events import Event
from tsain_core.jobs.run import PREVIEW
from tsain_core.training.finetune import FinetuneSettings, split_blocks
from tsain_core.volumes import Volume

from .._closing import Closing
from .._model_news import NEWS
from .._notify import notify_error
from .._worker import JobQueue
from ..interpolation._source import SourceForm
from ..interpolation._texts import duration
from ._curves import Curves
from ._forms import JobBar, SetupForm
from ._held_out import HeldOut

if TYPE_CHECKING:
    import napari

_LOOK = 500  # milliseconds between two looks at the job
_LARGEST_COPY = 4 << 30  # bytes of a volume that are copied into a job's folder


class FineTune(QWidget):
    """Tune a model to a stack, in a process of its own.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari gives it to a parameter of this name.
    """

    def __init__(self, napari_viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer = napari_viewer
        self._queue = JobQueue()
        self._job: Job | None = None
        self._read = 0
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
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK)
        self._timer.timeout.connect(self._look)
        self._connect()
        jobs = list_jobs()
        self._choose(next((job for job in jobs if not job.state.over), jobs[0] if jobs else None))
        self._changed()
        self._timer.start()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        for widget in (self.source, self.setup, self.plan, self.start, _line(), self.bar):
            layout.addWidget(widget)
        layout.addWidget(self.curves)
        layout.addWidget(self.show_held_out)
        layout.addStretch(1)

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
        stack = Closing(self).stack
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed):
            event.connect(self._layers_changed)
            stack.callback(event.disconnect, self._layers_changed)
        stack.callback(self._timer.stop)
        stack.callback(self._queue.abandon)
        stack.callback(self._held_out.clear)
        stack.callback(self.curves.take_down)

    # Settings of the job

    def _layers_changed(self, _: Any = None) -> None:
        self.source.refresh()
        self._changed()

    def _changed(self) -> None:
        why_not = ""
        try:
            volume = self.source.stack()
            blocks = split_blocks(volume.shape[0], FinetuneSettings.held_out)
            self.plan.setText(
                f"Learns from slices {blocks.learnt_from}, each computed from its two neighbours: "
                "twice as far apart as the model will be used at. Slices "
                f"{blocks.stop[0]} to {blocks.judge[1] - 1} are held out to stop and to judge it."
            )
        except TsainError as error:
            why_not = str(error)
            self.plan.setText(why_not)
        self.start.setEnabled(not why_not and not self._queue.busy)
        self.start.setToolTip(why_not or "Learn in the background; napari may be closed meanwhile")

    def _start(self) -> None:
        try:
            volume = self.source.stack()
            self.setup.next_name()
            request = self.setup.request(volume.source)
        except TsainError as error:
            self._show_error(error)
            return
        self.bar.status.setText("Preparing ...")
        self.start.setEnabled(False)
        self._queue.start(
            lambda: _begin(request, volume),
            on_event=lambda z: self.bar.status.setText(f"Copying slice {z} of {volume.shape[0]}"),
            on_done=self._begun,
            on_error=self._show_error,
        )

    def _begun(self, job: Job) -> None:
        self._choose(job)
        self._changed()

    # What goes on

    def _choose(self, job: Job | None) -> None:
        """Look at a job from its beginning."""
        self._job, self._read, self._last, self._verdict = job, 0, {}, ""
        self.curves.clear()
        self._held_out.clear()
        self._look()

    def _look(self) -> None:
        jobs = list_jobs()
        self.bar.show_jobs(jobs, self._job)
        if self._job is None:
            self.bar.show_state(None)
            return
        events, self._read = self._job.events(self._read)
        self.curves.add(events)
        for event in events:
            if event["kind"] == "progress":
                self._last = event
            elif event["kind"] == "verdict":
                self._verdict = event["sentence"]
                self._tell(self._job, event)
        if self.show_held_out.isChecked() and any(e["kind"] == "preview" for e in events):
            self._show_held_out()
        state = self._job.state
        self.bar.show_state(state)
        self._show_progress(state)

    def _tell(self, job: Job, event: Event) -> None:
        """Let the other docks know of a new model."""
        if job.folder not in self._told and event["model"]:
            self._told.add(job.folder)
            NEWS.arrived.emit(job.request.name)
            self.setup.refresh()

    def _show_progress(self, state: JobState) -> None:
        assert self._job is not None
        last = self._last
        if last:
            self.bar.progress.setValue(round(1000 * last["step"] / max(last["steps"], 1)))
        if state is JobState.FAILED:
            self.bar.status.setText(self._job.problem())
        elif state is JobState.FINISHED:
            self.bar.status.setText(self._verdict)
        elif state is JobState.CANCELLED:
            self.bar.status.setText("Cancelled; nothing was kept.")
        elif not last:
            self.bar.status.setText("Starting ...")
        else:
            left = (last["steps"] - last["step"]) * last["seconds"] / max(last["step"], 1)
            words = "Paused" if state is JobState.PAUSED else f"{duration(left)} left at most"
            self.bar.status.setText(
                f"Step {last['step']} of {last['steps']}, {words}; "
                f"{format_bytes(last['memory'])} of memory"
                + (f". {last['note']}" if last["note"] else "")
            )

    def _pause_or_resume(self) -> None:
        again = self._job is not None and self._job.state in (JobState.PAUSED, JobState.FAILED)
        self._steer(Job.resume if again else Job.pause)

    def _steer(self, action: Any) -> None:
        if self._job is None:
            return
        try:
            action(self._job)
        except TsainError as error:
            self._show_error(error)
        self._look()

    def _switch_held_out(self, on: bool) -> None:
        if on and self._job is not None:
            self._show_held_out()
        elif not on:
            self._held_out.clear()

    def _show_held_out(self) -> None:
        assert self._job is not None
        self._held_out.show(self._job.folder / PREVIEW, self.source.layer)

    def _show_error(self, error: Exception) -> None:
        self.bar.status.setText(notify_error(error))
        self._changed()


def _begin(request: JobRequest, volume: Volume) -> Generator[int, None, Job]:
    """Make the job, give it the volume, start it."""
    in_file = bool(volume.source) and Path(volume.source).exists()
    if volume.data.nbytes > _LARGEST_COPY and in_file:
        request = replace(request, dataset=volume.dataset)
        job = make_job(request)
    else:
        job = make_job(request)
        yield from copy_input(job, volume)
    job.start()
    return job


def _cancel(job: Job) -> None:
    job.cancel(timeout=3.0)


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line
