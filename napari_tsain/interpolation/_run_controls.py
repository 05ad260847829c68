"""The buttons that make things happen, and the line that says what happens."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..widgets.segments import Segments
from ..widgets.status_label import StatusLabel
from ..widgets.wording import duration
from ._preview_task import Compared
from ._run import SliceProgress

COMPARED = {
    Compared.INTERPOLATED: "The computed slice",
    Compared.MEAN: "The mean of the two slices, which costs nothing",
    Compared.BEFORE: "The real slice before",
    Compared.AFTER: "The real slice after",
}


class PreviewBar(QWidget):
    """Preview on or off, and what of it is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QPushButton("Preview")
        self.button.setCheckable(True)
        self.compare = Segments(COMPARED)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(6)
        layout.addWidget(self.button)
        layout.addWidget(self.progress)
        layout.addWidget(self.compare)
        self.show_progress(None)
        self.allow("")

    def show_progress(self, share: float | None) -> None:
        """Show which share of a preview is computed; None when nothing is."""
        # it keeps its place, so that nothing jumps
        self.progress.setValue(round(1000 * (share or 0)))
        self.progress.setEnabled(share is not None)

    def allow(self, why_not: str) -> None:
        """Enable the preview, or disable it and say why."""
        self.button.setEnabled(not why_not)
        self.button.setToolTip(
            why_not or "Compute the slice between for what is on screen, and again when you move"
        )
        self.show_compare(self.button.isChecked() and not why_not)

    def show_compare(self, on: bool) -> None:
        """Enable the choice of what is shown."""
        for choice, button in self.compare.buttons.items():
            button.setEnabled(on)
            button.setToolTip(COMPARED[choice] if on else "Switch the preview on first")


class RunBar(QWidget):
    """Run, cancel, progress, status."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run = QPushButton("Run")
        self.cancel = QPushButton("Cancel")
        self.command = QPushButton("Copy as command")
        self.command.setToolTip("Copy the tsain command line that does the same")
        self.save = QPushButton("Save result ...")
        self.real_only = QCheckBox("Real slices only")
        self.real_only.setToolTip("Step over computed slices while moving through z")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        # room for two lines, so that the buttons below stay where they are
        self.estimate, self.status = StatusLabel(2), StatusLabel(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.estimate)
        row = QHBoxLayout()
        row.addWidget(self.run, 2)
        row.addWidget(self.cancel, 1)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addWidget(self.status)
        # below one another: side by side they would be the widest row of the dock
        for widget in (self.save, self.command, self.real_only):
            layout.addWidget(widget)
        self.set_running(False, "")
        self.allow_save("There is no result yet: press Run")

    def allow_save(self, why_not: str) -> None:
        """Enable *Save result*, or disable it and say why."""
        self.save.setEnabled(not why_not)
        self.save.setToolTip(
            why_not
            or "Write the result as OME-Zarr, HDF5 or OME-TIFF, with scale and the marks of "
            "computed slices"
        )

    def show_saving(self, share: float | None) -> None:
        """Show which share of a file is written; None when none is being written."""
        self.progress.setVisible(share is not None)
        self.progress.setValue(round(1000 * (share or 0)))
        self.cancel.setEnabled(share is not None)
        if share is not None:
            self.cancel.setToolTip("Stop saving; nothing half-written is kept")

    def set_running(self, running: bool, why_not: str) -> None:
        """Enable what can be pressed; `why_not` says why a run cannot begin."""
        self.run.setEnabled(not running and not why_not)
        self.run.setToolTip(
            "A run is going on" if running else why_not or "Compute all slices that are wanted"
        )
        self.cancel.setEnabled(running)
        self.cancel.setToolTip(
            "Stop within a tile and leave everything as it was" if running else "Nothing is running"
        )
        self.progress.setVisible(running)

    def show_progress(self, progress: SliceProgress) -> None:
        """Fill the bar and say how fast it goes."""
        self.progress.setValue(round(1000 * progress.done / max(progress.total, 1)))
        left = f", {duration(progress.left)} left" if progress.done else ""
        self.status.setText(
            f"{progress.done:.1f} of {progress.total} slices, {progress.rate:.2f} slices/s{left}"
        )
