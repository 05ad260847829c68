"""Where the result goes: into memory, or to a file on disk."""

from __future__ import annotations

from pathlib import Path

from magicgui.widgets import CheckBox, Container, FileEdit, LineEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from tsain_core.errors import TsainError

from .._segments import Segments

_MEMORY, _DISK = "In memory", "OME-Zarr on disk"


class OutputForm(QWidget):
    """Memory, or an OME-Zarr that is written slice by slice."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.where = Segments(
            {
                _MEMORY: "Quickest; the result is saved with File > Save Selected Layers",
                _DISK: "For large stacks: written as it is computed, opened lazily with a pyramid",
            }
        )
        self.path_box = FileEdit(
            label="file", mode="w", filter="*.zarr", tooltip="The OME-Zarr to write (.zarr)"
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
        boxes = [self.path_box, self.replace_box, self.cluster_box]
        self._form = Container(widgets=boxes, labels=True)
        self._form.margins = (0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.where)
        layout.addWidget(self._form.native)
        self._form.native.hide()
        self.where.changed.connect(self._chosen)
        self._form.changed.connect(lambda: self.changed.emit())

    @property
    def overwrite(self) -> bool:
        """Whether an existing file may be replaced."""
        return bool(self.replace_box.value)

    @property
    def cluster(self) -> str | None:
        """Address of the Dask scheduler that is to compute; None computes here."""
        return str(self.cluster_box.value).strip() or None if self.on_disk else None

    @property
    def on_disk(self) -> bool:
        """Whether the result goes to a file."""
        return self.where.value == _DISK

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
        text = str(self.path_box.line_edit.value).strip()
        path = Path(text).expanduser()
        if not path.name:
            raise TsainError("No output file is named; needed is a name ending in .zarr.")
        if path.suffix != ".zarr":
            path = path.with_name(f"{path.name}.zarr")
        if path.exists() and not self.overwrite:
            raise TsainError(
                f"{path} exists; needed is a name that is free: choose another, or tick "
                f"{self.replace_box.text!r}."
            )
        return path

    def _chosen(self, _: str) -> None:
        self._form.native.setVisible(self.on_disk)
        self.changed.emit()
