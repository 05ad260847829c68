"""Where the result goes: into memory, or to a file on disk."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, Container, FileEdit, LineEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from tsain_core.errors import TsainError
from tsain_core.interpolation.request import HERE, Cluster, RunPolicy

from ..widgets.segments import Segments

_RESTART = "Discard an unfinished run"


class OutputLocation(StrEnum):
    """Where a result goes."""

    MEMORY = "In memory"
    DISK = "OME-Zarr on disk"


class OutputForm(QWidget):
    """Memory, or an OME-Zarr that is written block by block."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.where = Segments(
            {
                OutputLocation.MEMORY: "Quickest; Save result writes it to a file",
                OutputLocation.DISK: "For large stacks: written as it is computed, opened lazily "
                "with a pyramid. A run that was interrupted goes on where it stopped",
            }
        )
        self.path_box = FileEdit(
            label="file",
            mode=FileDialogMode.OPTIONAL_FILE,
            filter="*.zarr",
            tooltip="The OME-Zarr to write (.zarr)",
        )
        self.replace_box = CheckBox(
            text="Replace it if it exists", tooltip="Only when the new one is complete"
        )
        self.cluster_box = LineEdit(
            label="Dask cluster",
            tooltip="Address of a Dask scheduler, or its scheduler file: the blocks are computed "
            "there, and go on when napari is closed. Leave it empty to compute here.",
        )
        self.cluster_box.native.setPlaceholderText("none: computed here")
        self.restart_box = CheckBox(
            text=_RESTART,
            tooltip="Compute all of it, also what an interrupted run of this file has computed",
        )
        boxes = [self.path_box, self.replace_box, self.restart_box, self.cluster_box]
        self._form = Container(widgets=boxes, labels=True)
        self._form.margins = (0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.where)
        layout.addWidget(self._form.native)
        self._form.native.hide()
        #: The file of the last run that ended well.
        self.written: Path | None = None
        self.where.changed.connect(self._chosen)
        self._form.changed.connect(lambda: self.changed.emit())

    @property
    def overwrite(self) -> bool:
        """Whether an existing file may be replaced."""
        return bool(self.replace_box.value)

    @property
    def policy(self) -> RunPolicy:
        """What becomes of an existing file, and of what an interrupted run has left."""
        return RunPolicy(self.overwrite, bool(self.restart_box.value))

    @property
    def cluster(self) -> Cluster:
        """Where to compute: in this process, or on a Dask cluster."""
        address = str(self.cluster_box.value).strip()
        return Cluster(address=address) if address and self.on_disk else HERE

    @property
    def on_disk(self) -> bool:
        """Whether the result goes to a file."""
        return self.where.value is OutputLocation.DISK

    @property
    def chosen(self) -> Path | None:
        """The file that is named, whether it can be written or not."""
        text = str(self.path_box.line_edit.value).strip()
        path = Path(text).expanduser()
        if not self.on_disk or not path.name:
            return None
        return path if path.suffix == ".zarr" else path.with_name(f"{path.name}.zarr")

    @property
    def path(self) -> Path | None:
        """The file to write; None keeps the result in memory.

        Raises
        ------
        TsainError
            If no file is named, or it exists and may not be replaced.
        """
        if not self.on_disk:
            return None
        path = self.chosen
        if path is None:
            raise TsainError("No output file is named: choose a name ending in .zarr.")
        check_place(path)
        if path.exists() and not self.overwrite:
            why = "has the last result" if path == self.written else "exists"
            raise TsainError(
                f"{path} {why}: choose another name for a further run, or tick "
                f"{self.replace_box.text!r}."
            )
        return path

    def _chosen(self) -> None:
        self._form.native.setVisible(self.on_disk)
        self.changed.emit()


def check_place(path: Path) -> None:
    """Refuse a file that cannot be made where it is to lie.

    Raises
    ------
    TsainError
        If its folder is not there, no folder, or may not be written to.
    """
    folder = path.parent
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise TsainError(
            f"{folder} {what}; a result needs a folder that is there: make it, or choose another."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TsainError(
            f"{folder} may not be written to; a result needs a folder of yours: choose another."
        )
