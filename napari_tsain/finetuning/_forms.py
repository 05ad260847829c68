"""Settings of a new job, and the buttons that steer a job."""

from __future__ import annotations

from collections.abc import Sequence

from magicgui.widgets import ComboBox, Container, FloatSpinBox, LineEdit, SpinBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from tsain_core.finetuning.jobs import Job, JobRequest, JobState, JobView, free_name, name_for
from tsain_core.inference.models import default_model, describe_models
from tsain_core.model_files.checkpoint import ModelInfo

from ..widgets.settings import remember, remembered
from ..widgets.status_label import StatusLabel

_MINUTES = 20.0


class SetupForm(QWidget):
    """Base model, name and time; device and seed folded away."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._known = _networks()
        self.base_box = ComboBox(
            label="start from", choices=list(self._known), tooltip="The model that is tuned"
        )
        self.name_box = LineEdit(
            label="name", value="", tooltip="Of the new model; empty for the name in grey"
        )
        self.minutes_box = FloatSpinBox(
            label="minutes",
            value=_MINUTES,
            min=0.1,
            max=10_000,
            step=5,
            tooltip="Time for learning; it ends earlier when it no longer gains",
        )
        form = Container(widgets=[self.base_box, self.name_box, self.minutes_box], labels=True)
        self.device_box = ComboBox(
            label="device",
            choices=["auto", "cpu", "cuda", "mps"],
            tooltip="Where to learn; auto takes a GPU if there is one",
        )
        self.seed_box = SpinBox(label="seed", value=0, tooltip="Of all that is drawn at random")
        advanced = Container(widgets=[self.device_box, self.seed_box], labels=True)
        for container in (form, advanced):
            container.margins = (0, 0, 0, 0)
        fold = QCollapsible("Advanced")
        fold.setToolTip("Device, seed")
        fold.setDuration(0)
        fold.addWidget(advanced.native)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.native)
        layout.addWidget(fold)
        if (minutes := remembered("finetune-minutes")).replace(".", "", 1).isdigit():
            self.minutes_box.value = float(minutes)
        self.base_box.value = default_model()
        for box in (self.base_box, self.name_box, self.minutes_box):
            box.changed.connect(lambda: self.changed.emit())

    @property
    def name(self) -> str:
        """The name typed, else the one suggested."""
        return str(self.name_box.value).strip() or str(self.name_box.native.placeholderText())

    @property
    def base(self) -> str:
        """The model that is tuned."""
        return str(self.base_box.value)

    @property
    def multiple(self) -> int:
        """What the sides of crops have to be multiples of for it."""
        return self._known[self.base].settings.multiple

    def suggest(self, stack: str, taken: set[str]) -> None:
        """Suggest a free name for a model tuned to this stack."""
        self.name_box.native.setPlaceholderText(free_name(name_for(self.base, stack), taken))

    def request(self, source: str, stack: str) -> JobRequest:
        """A job on a volume.

        Parameters
        ----------
        source : str
            File of the volume.
        stack : str
            Its name, as the user knows it.
        """
        remember("finetune-minutes", str(self.minutes_box.value))
        return JobRequest(
            name=self.name,
            source=source,
            base=self.base,
            minutes=float(self.minutes_box.value),
            device=str(self.device_box.value),
            seed=int(self.seed_box.value),
            stack=stack,
        )

    def refresh(self) -> None:
        """Look again which models there are."""
        self._known = _networks()
        self.base_box.choices = list(self._known)


def _networks() -> dict[str, ModelInfo]:
    return {name: info for name, info in describe_models().items() if info is not None}


class JobBar(QWidget):
    """Which job is looked at, how far it is, and what can be done with it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.jobs = QComboBox()
        self.jobs.setToolTip("Jobs, the newest first; they go on when napari is closed")
        self.jobs.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.status = StatusLabel(3)
        self.pause = QPushButton("Pause")
        self.stop = QPushButton("Stop, keep best")
        self.cancel = QPushButton("Cancel")
        row = QHBoxLayout()
        for button in (self.pause, self.stop, self.cancel):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.jobs)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        layout.addLayout(row)
        self.show_state(None)

    def show_jobs(self, views: Sequence[JobView], chosen: Job | None) -> None:
        """Fill the list; the chosen one stays chosen."""
        labels = [f"{view.request.name} ({view.state.value})" for view in views]
        jobs = [view.job for view in views]
        if labels != [self.jobs.itemText(i) for i in range(self.jobs.count())]:
            self.jobs.blockSignals(True)
            self.jobs.clear()
            for label, job in zip(labels, jobs, strict=True):
                self.jobs.addItem(label, job)
            self.jobs.blockSignals(False)
        if chosen in jobs:
            self.jobs.blockSignals(True)
            self.jobs.setCurrentIndex(jobs.index(chosen))
            self.jobs.blockSignals(False)
        self.jobs.setEnabled(bool(jobs))

    def show_state(self, state: JobState | None) -> None:
        """Enable what makes sense in a state, and say why the rest does not."""
        working = state is not None and not state.over
        failed, ending = state is JobState.FAILED, state is JobState.STOPPING
        self.pause.setText(_PAUSE_TEXTS.get(state, "Pause") if state is not None else "Pause")
        self.pause.setEnabled((working or failed) and not ending)
        nothing = "It is ending" if ending else "No job is at work"
        self.pause.setToolTip(_PAUSE_TIPS.get(state, nothing) if state is not None else nothing)
        self.stop.setEnabled(working and not ending)
        self.stop.setToolTip("End now, and judge the best so far" if working else nothing)
        self.cancel.setEnabled(working)
        self.cancel.setToolTip("End now and keep nothing" if working else nothing)
        self.progress.setVisible(working)


_PAUSE_TEXTS = {
    JobState.PAUSED: "Resume",
    JobState.FAILED: "Resume",
    JobState.PAUSING: "Do not pause",
}
_PAUSE_TIPS = {
    JobState.STARTING: "Wait as soon as it has started",
    JobState.RUNNING: "Wait after the present step",
    JobState.PAUSING: "Go on without a pause",
    JobState.PAUSED: "Go on",
    JobState.FAILED: "Go on from where it ended",
}
