"""Downloading a sample while a dialog shows how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEventLoop, Qt
from qtpy.QtWidgets import QApplication, QProgressDialog

from tsain_core.errors import TsainError
from tsain_core.sample_data import SAMPLES, SampleFile, download

from ..widgets.worker import WorkerJob

_PATIENCE = 300  # milliseconds before the dialog appears: what is there already needs none


def download_with_dialog(
    name: str, folder: Path | None = None, files: Sequence[SampleFile] | None = None
) -> Path:
    """Download a sample; returns when it is there. napari expects a sample's data at once.

    Raises
    ------
    TsainError
        Without a network, or if the user cancels.
    """
    sample = SAMPLES[name]
    dialog = QProgressDialog(
        f"Downloading {sample.title}\nLicence: {sample.licence}",
        "Cancel",
        0,
        100,
        QApplication.activeWindow(),
    )
    dialog.setWindowTitle("Sample data")
    dialog.setWindowModality(Qt.WindowModality.WindowModal)
    dialog.setMinimumDuration(_PATIENCE)
    dialog.setAutoReset(False)
    dialog.setValue(0)
    loop, outcome = QEventLoop(), _Outcome()

    def progress(event: Any) -> None:
        done, total = event
        dialog.setValue(round(100 * done / max(total, 1)))

    def end(target: Path | None = None, error: Exception | None = None) -> None:
        outcome.target, outcome.error = target, error
        loop.quit()

    job = WorkerJob(
        download(name, folder, files),
        on_event=progress,
        on_done=end,
        on_error=lambda error: end(error=error),
        on_cancel=end,
    )
    dialog.canceled.connect(job.cancel)
    loop.exec()
    dialog.close()
    dialog.deleteLater()
    if outcome.error is not None:
        raise outcome.error
    if outcome.target is None:
        raise TsainError(
            f"The download of {name} was cancelled; open the sample again, "
            "and it goes on where it stopped."
        )
    return outcome.target


class _Outcome:
    target: Path | None = None
    error: Exception | None = None
