"""A row of buttons of which one is down."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

Choice = TypeVar("Choice", bound=StrEnum)


class Segments(QWidget, Generic[Choice]):
    """Choose one of a few.

    Parameters
    ----------
    choices : mapping
        Choice -> tooltip; the first is chosen. The value of a choice is its label.
    """

    changed = Signal()

    def __init__(self, choices: Mapping[Choice, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        # as narrow as the words: a row of these is what a dock is at least as wide as
        self.setStyleSheet("QPushButton { padding: 3px 2px; }")
        self._group = QButtonGroup(self)
        self._choices = list(choices)
        self.buttons: dict[Choice, QPushButton] = {}
        for number, (choice, tooltip) in enumerate(choices.items()):
            button = QPushButton(choice.value, self)
            button.setCheckable(True)
            button.setToolTip(tooltip)
            self._group.addButton(button, number)
            layout.addWidget(button, 1)
            self.buttons[choice] = button
        self.buttons[self._choices[0]].setChecked(True)
        self._group.buttonClicked.connect(lambda _: self.changed.emit())

    @property
    def value(self) -> Choice:
        """The choice whose button is down."""
        return self._choices[self._group.checkedId()]

    def choose(self, choice: Choice) -> None:
        """Press a button, if it is not down."""
        if choice != self.value:
            self.buttons[choice].click()
