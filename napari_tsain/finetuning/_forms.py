"""What is asked for, and the buttons that steer a job."""

from __future__ import annotations

import re

from magicgui.widgets import ComboBox, Container, FloatSpinBox, LineEdit, SpinBox
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from tsain_core.jobs import Job, JobRequest, JobState
from tsain_core.models import default_model, describe_models

from .._settings import remember, remembered

_MINUTES = 20.0


class SetupForm(QWidget):
    """Base model, name and time; device and seed folded away."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.base_box = ComboBox(
            label="start from", choices=_networks(), tooltip="The model that is tuned"
        )
        self.name_box = LineEdit(
            label="name", value="mine", tooltip="Of the new model, in the lists of models"
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

    def request(self, source: str) -> JobRequest:
        """A job on a volume."""
        remember("finetune-minutes", str(self.minutes_box.value))
        return JobRequest(
            name=str(self.name_box.value).strip(),
            source=source,
            base=str(self.base_box.value),
            minutes=float(self.minutes_box.value),
            device=str(self.device_box.value),
            seed=int(self.seed_box.value),
        )

    def refresh(self) -> None:
        """Look again which models there are."""
        self.base_box.choices = _networks()

    def next_name(self) -> None:
        """A name that is free: "mine" -> "mine-2"."""
        known = describe_models()
        name = str(self.name_box.value).strip()
        while name in known:
            match = re.fullmatch(r"(.*)-(\d+)", name)
            name = f"{match[1]}-{int(match[2]) + 1}" if match else f"{name}-2"
        self.name_box.value = name


def _networks() -> list[str]:
    return [name for name, info in describe_models().items() if info is not None]


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
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.status.setMinimumHeight(3 * self.status.fontMetrics().lineSpacing() + 2)
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
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

    def show_jobs(self, jobs: list[Job], chosen: Job | None) -> None:
        """Fill the list; the chosen one stays chosen."""
        labels = [f"{job.request.name} ({job.state.value})" for job in jobs]
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
        working = state in (JobState.RUNNING, JobState.PAUSED, JobState.STARTING)
        failed = state is JobState.FAILED
        self.pause.setText("Resume" if state is JobState.PAUSED or failed else "Pause")
        self.pause.setEnabled(working or failed)
        nothing = "No job is at work"
        self.pause.setToolTip(
            "Go on from where it ended"
            if failed
            else "Wait after the present step, or go on"
            if working
            else nothing
        )
        self.stop.setEnabled(working)
        self.stop.setToolTip("End now, and judge the best so far" if working else nothing)
        self.cancel.setEnabled(working)
        self.cancel.setToolTip("End now and keep nothing" if working else nothing)
        self.progress.setVisible(working)
