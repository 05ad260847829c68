"""What is wanted: the whole stack finer, what lies between two slices, or slices replaced."""

from __future__ import annotations

import re
from enum import Enum, StrEnum
from math import floor, log10
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledSlider

from tsain_core.errors import TsainError
from tsain_core.interpolation.schedule import parse_slices
from tsain_core.interpolation.selection import SliceSelection, format_slices
from tsain_core.volumes import unit_symbol

from ..widgets.segments import Segments


class Mode(StrEnum):
    """What is computed."""

    WHOLE = "Whole stack"
    BETWEEN = "Between two"
    REPLACE = "Replace"


class Spacing(Enum):
    """How a z size is chosen, where it is by no factor."""

    ISOTROPIC = "isotropic"
    BY_SIZE = "z size"


#: Marks the slice on screen as damaged.
MARK_KEY = "Shift-D"

_FACTORS = (2, 3, 4, 5, 6, 8, 10, 12, 16)


class SelectionForm(QWidget):
    """Mode, and what belongs to it.

    Attributes
    ----------
    changed : Signal
        The selection has changed.
    slice_chosen : Signal(int)
        A slice was chosen by a slider: the viewer should show it.
    mark_pressed : Signal
        The slice on screen is to be marked, or unmarked.
    """

    changed = Signal()
    slice_chosen = Signal(int)
    mark_pressed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._depth, self._voxel_z, self._voxel_yx = 0, 1.0, 0.0
        self.mode_box = Segments(
            {
                Mode.WHOLE: "More slices everywhere: a factor, or a z voxel size",
                Mode.BETWEEN: "Only the slices from one to another; all real ones there stay",
                Mode.REPLACE: "Compute damaged slices from their neighbours",
            }
        )
        pages = (self._whole_page(), self._between_page(), self._replace_page())
        self._pages = dict(zip(self.mode_box.buttons, pages, strict=True))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.mode_box)
        for page in pages:
            layout.addWidget(page)
        self._show_page(self.mode)
        self.mode_box.changed.connect(self._mode_chosen)

    @property
    def mode(self) -> Mode:
        """The chosen mode."""
        return self.mode_box.value

    @property
    def chosen(self) -> SliceSelection:
        """What is wanted.

        Raises
        ------
        TsainError
            If the slices to replace are none, or not understood.
        """
        if self.mode is Mode.BETWEEN:
            pair = (self.first.value(), self.last.value())
            return SliceSelection(self.between_factor.currentData(), between=pair)
        if self.mode is Mode.REPLACE:
            return SliceSelection(damaged=self.damaged_slices())
        chosen = self.factor.currentData()
        if chosen is Spacing.BY_SIZE:
            return SliceSelection(z_size=self.z_size.value())
        if chosen is Spacing.ISOTROPIC:
            return SliceSelection(z_size=self._voxel_yx)
        return SliceSelection(chosen)

    def damaged_slices(self) -> tuple[int, ...]:
        """The slices to replace.

        Raises
        ------
        TsainError
            If there are none, or the text is not understood.
        """
        text = self.damaged.text().strip()
        if not text:
            raise TsainError(
                f"No slice is marked; expected at least one: press {MARK_KEY} on a damaged slice, "
                "or write numbers such as 12,57-59."
            )
        self._check_numbers(text)
        return parse_slices(text)

    def damaged_or_none(self) -> tuple[int, ...]:
        """The slices to replace; none where the text is not understood."""
        try:
            return self.damaged_slices()
        except TsainError:
            return ()

    def _check_numbers(self, text: str) -> None:
        """Refuse numbers beyond the stack before they become a list of billions."""
        depth = self._depth
        for number in re.findall(r"\d+", text):
            if depth and (len(number) > 12 or int(number) >= depth):
                raise TsainError(
                    f"Slice {number[:12]} is to be replaced, but the stack has slices 0 to "
                    f"{depth - 1}; slices are counted from 0."
                )

    def toggle_damaged(self, z: int) -> None:
        """Mark a slice, or take the mark back."""
        self.set_damaged(set(self.damaged_or_none()) ^ {z})

    def set_damaged(self, slices: set[int]) -> None:
        """Write down the slices to replace."""
        self.damaged.setText(format_slices(sorted(slices)))
        self.changed.emit()

    def set_stack(self, depth: int, voxel_size: Any, unit: str | None, here: int) -> None:
        """Fit the controls to a stack.

        Parameters
        ----------
        depth : int
            Number of its slices.
        voxel_size : (z, y, x) or None
            None, or None for an axis, where it is not stated.
        unit : str or None
        here : int
            The slice on screen.
        """
        z, y, x = voxel_size or (None, None, None)
        self._depth, self._voxel_z = depth, z or 1.0
        self._voxel_yx = min(y, x) if y and x else 0.0
        for slider in (self.first, self.last):
            slider.blockSignals(True)
            slider.setRange(0, max(depth - 1, 1))
            slider.blockSignals(False)
        if not self._between_is_set(depth):
            self._set_pair(min(here, max(depth - 2, 0)))
        self.z_size.blockSignals(True)
        self.z_size.setSuffix(f" {unit_symbol(unit)}" if unit else "")
        self.z_size.setDecimals(max(3, 3 - floor(log10(self._voxel_z))))  # micrometres are small
        # what is too fine or too coarse is told below, not turned into another number
        self.z_size.setRange(self._voxel_z / 1000, self._voxel_z * 1000)
        self.z_size.setSingleStep(self._voxel_z / 16)
        self.z_size.blockSignals(False)
        self._allow_isotropic(self._no_isotropic(z))
        self._show_size()

    def _no_isotropic(self, voxel_z: float | None) -> str:
        """Why the stack cannot be made isotropic; empty if it can."""
        if voxel_z is None or not self._voxel_yx:
            return "The stack states no voxel size"
        if voxel_z <= self._voxel_yx:
            return "Its slices are no further apart than its pixels"
        return ""

    def _allow_isotropic(self, why_not: str) -> None:
        at = self.factor.findText(Spacing.ISOTROPIC.value)
        model = self.factor.model()
        assert isinstance(model, QStandardItemModel)  # as combo boxes have
        item = model.item(at)
        assert item is not None
        item.setEnabled(not why_not)
        item.setToolTip(why_not or "As far apart as the pixels of a slice are")
        if why_not and self.factor.currentIndex() == at:
            self.factor.setCurrentIndex(0)

    def _show_size(self) -> None:
        """What z size the choice comes to, unless it is typed."""
        choice = self.factor.currentData()
        if choice is Spacing.BY_SIZE:
            return
        self.z_size.blockSignals(True)
        isotropic = choice is Spacing.ISOTROPIC
        self.z_size.setValue(self._voxel_yx if isotropic else self._voxel_z / choice)
        self.z_size.blockSignals(False)

    def _whole_page(self) -> QWidget:
        self.factor = _factors()
        for spacing in Spacing:
            self.factor.addItem(spacing.value, spacing)
        self.factor.setToolTip(
            "How many times as many slices; as far apart as pixels are; or a z voxel size of yours"
        )
        self.z_size = QDoubleSpinBox()
        self.z_size.setMinimumWidth(70)
        self.factor.currentTextChanged.connect(self._factor_chosen)
        self.z_size.valueChanged.connect(self.changed)
        row = QHBoxLayout()
        row.addWidget(self.factor)
        row.addWidget(self.z_size, 1)
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("finer by", row)
        self._factor_chosen()
        return page

    def _between_page(self) -> QWidget:
        self.first, self.last = (QLabeledSlider(Qt.Orientation.Horizontal) for _ in range(2))
        self.first.setToolTip("The first real slice of the result; the viewer follows")
        self.last.setToolTip("The last real slice of the result; the viewer follows")
        self.first.valueChanged.connect(self._first_moved)
        self.last.valueChanged.connect(self._last_moved)
        self.between_factor = _factors()
        self.between_factor.setToolTip(
            "2 x: one computed slice in each gap between real slices; 4 x: three; 8 x: seven"
        )
        self.between_factor.currentTextChanged.connect(self.changed)
        self.take_current = QPushButton("Current and next")
        self.take_current.setToolTip("Take the slice on screen and the one after it")
        row = QHBoxLayout()
        row.addWidget(self.between_factor)
        row.addWidget(self.take_current, 1)
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("first", self.first)
        form.addRow("last", self.last)
        form.addRow("finer by", row)
        return page

    def _replace_page(self) -> QWidget:
        self.damaged = QLineEdit()
        self.damaged.setPlaceholderText("12,57-59")
        self.damaged.setToolTip("Damaged slices, counted from 0")
        self.damaged.textEdited.connect(lambda _: self.changed.emit())
        self.mark = QPushButton(f"Mark ({MARK_KEY})")
        self.mark.setToolTip("Mark the slice on screen as damaged, or take the mark back")
        self.mark.clicked.connect(self.mark_pressed)
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("slices", self.damaged)
        self.replace_page = form
        return page

    def _mode_chosen(self) -> None:
        self._show_page(self.mode)
        self.changed.emit()

    def _show_page(self, mode: Mode) -> None:
        for name, page in self._pages.items():
            page.setVisible(name == mode)

    def _factor_chosen(self) -> None:
        by_size = self.factor.currentData() is Spacing.BY_SIZE
        self.z_size.setEnabled(by_size)
        self.z_size.setToolTip(
            "The z voxel size of the result: a sixteenth of the stack's, to less than it"
            if by_size
            else f"Follows from the factor; choose {Spacing.BY_SIZE.value!r} to set it"
        )
        self._show_size()
        self.changed.emit()

    def _between_is_set(self, depth: int) -> bool:
        return self.first.value() < self.last.value() < depth

    def _set_pair(self, first: int) -> None:
        for slider, z in ((self.first, first), (self.last, first + 1)):
            slider.blockSignals(True)
            slider.setValue(z)
            slider.blockSignals(False)

    def set_pair(self, first: int) -> None:
        """Choose slice `first` and the next."""
        self._set_pair(min(first, self.last.maximum() - 1))
        self.changed.emit()

    def _first_moved(self, z: int) -> None:
        if z >= self.last.value():
            self._set_pair(min(z, self.last.maximum() - 1))
        self.slice_chosen.emit(self.first.value())
        self.changed.emit()

    def _last_moved(self, z: int) -> None:
        if z <= self.first.value():
            self._set_pair(max(z - 1, 0))
        self.slice_chosen.emit(self.last.value())
        self.changed.emit()


def _factors() -> QComboBox:
    """A box with the factors that are offered."""
    box = QComboBox()
    for factor in _FACTORS:
        box.addItem(f"{factor} x", factor)
    return box
