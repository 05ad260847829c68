"""Which of the datasets in a file is meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from tsain_core.errors import TsainError
from tsain_core.volumes import list_datasets
from tsain_core.volumes._axes import stack_order

from ..widgets.wording import in_dock_words


class DatasetDialog(QDialog):
    """Choose a dataset; those that are no grey stacks are shown and cannot be chosen."""

    def __init__(self, path: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        name = Path(path).name
        self.setWindowTitle(f"Open {name}")
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["dataset", "shape", "type"])
        self.tree.setRootIsDecorated(False)
        for dataset, (shape, dtype) in list_datasets(path).items():
            size = " x ".join(str(n) for n in shape) or "single"
            item = QTreeWidgetItem([dataset, size, dtype])
            if why_not := _fault(shape, dtype, dataset):
                item.setDisabled(True)
                for column in range(3):
                    item.setToolTip(column, why_not)
            self.tree.addTopLevelItem(item)
        for column in range(3):
            self.tree.resizeColumnToContents(column)
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Open | kinds.Cancel)
        self.open_button = self.buttons.button(kinds.Open)
        self.cancel_button = self.buttons.button(kinds.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.tree.itemSelectionChanged.connect(self._selected)
        self.tree.itemDoubleClicked.connect(self.accept)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel(f"{name} holds several datasets. Which one is the image?"))
        layout.addWidget(self.tree)
        layout.addWidget(self.buttons)
        self.resize(560, 320)
        self._choose_first()
        self._selected()

    @property
    def dataset(self) -> str | None:
        """Path of the chosen dataset."""
        chosen = self.tree.selectedItems()
        return chosen[0].text(0) if chosen else None

    def _choose_first(self) -> None:
        for i in range(self.tree.topLevelItemCount()):
            item = self.tree.topLevelItem(i)
            if item is not None and item.flags() & Qt.ItemFlag.ItemIsEnabled:
                self.tree.setCurrentItem(item)
                return

    def _selected(self) -> None:
        assert self.open_button is not None
        self.open_button.setEnabled(self.dataset is not None)
        self.open_button.setToolTip(
            "" if self.dataset else "None of them is a grey stack; hover over one to see why"
        )


def choose_dataset(path: str) -> str | None:
    """Ask which dataset is meant; None if the user cancels."""
    dialog = DatasetDialog(path, QApplication.activeWindow())
    accepted = dialog.exec() == QDialog.DialogCode.Accepted
    dataset = dialog.dataset if accepted else None
    dialog.deleteLater()
    return dataset


def _fault(shape: tuple[int, ...], dtype: str, name: str) -> str:
    """Why a dataset cannot be opened; empty if it can."""
    try:
        stack_order((), shape, np.dtype(dtype), name)
    except (TsainError, TypeError) as error:
        return in_dock_words(error)
    return ""
