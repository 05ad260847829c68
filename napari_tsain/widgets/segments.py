"""A row of buttons of which one is down."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget


class Segments(QWidget):
    """Choose one of a few.

    Parameters
    ----------
    choices : mapping
        Label -> tooltip; the first is chosen.
    """

    changed = Signal(str)

    def __init__(self, choices: Mapping[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        # as narrow as the words: a row of these is what a dock is at least as wide as
        self.setStyleSheet("QPushButton { padding: 3px 2px; }")
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QPushButton] = {}
        for label, tooltip in choices.items():
            button = QPushButton(label, self)
            button.setCheckable(True)
            button.setToolTip(tooltip)
            self._group.addButton(button)
            layout.addWidget(button, 1)
            self.buttons[label] = button
        next(iter(self.buttons.values())).setChecked(True)
        self._group.buttonClicked.connect(lambda button: self.changed.emit(button.text()))

    @property
    def value(self) -> str:
        """Label of the button that is down."""
        button = self._group.checkedButton()
        assert button is not None  # one of them always is
        return str(button.text())

    def choose(self, label: str) -> None:
        """Press a button, if it is not down."""
        if label != self.value:
            self.buttons[label].click()
