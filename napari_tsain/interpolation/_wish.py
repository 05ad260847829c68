"""What is wanted: the whole stack finer, what lies between two slices, or slices replaced."""

from __future__ import annotations

from math import floor, log10
from typing import Literal

from qtpy.QtCore import Qt, Signal
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
from tsain_core.request import Request, format_slices
from tsain_core.schedule import parse_slices
from tsain_core.volumes import unit_symbol

from .._segments import Segments

Mode = Literal["Whole stack", "Between two", "Replace"]

#: Marks the slice on screen as damaged.
MARK_KEY = "Shift-D"

_BY_SIZE = "z size"
_FACTORS = {"2 x": 2, "4 x": 4, "8 x": 8}


class WishForm(QWidget):
    """Mode, and what belongs to it.

    Attributes
    ----------
    changed : Signal
        The wish is another.
    slice_chosen : Signal(int)
        A slice was chosen by a slider: the viewer should show it.
    mark_asked : Signal
        The slice on screen is to be marked, or unmarked.
    """

    changed = Signal()
    slice_chosen = Signal(int)
    mark_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mode_box = Segments(
            {
                "Whole stack": "More slices everywhere: a factor, or a z voxel size",
                "Between two": "Only the slices between two of them",
                "Replace": "Compute damaged slices anew from their neighbours",
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
        return self.mode_box.value  # type: ignore[return-value]

    @property
    def request(self) -> Request:
        """What is wanted.

        Raises
        ------
        TsainError
            If the slices to replace are none, or not understood.
        """
        if self.mode == "Between two":
            pair = (self.first.value(), self.last.value())
            return Request(_FACTORS[self.between_factor.currentText()], between=pair)
        if self.mode == "Replace":
            return Request(damaged=self.damaged_slices())
        if self.factor.currentText() == _BY_SIZE:
            return Request(z_size=self.z_size.value())
        return Request(_FACTORS[self.factor.currentText()])

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
                f"No slice is marked; needed is at least one: press {MARK_KEY} on a damaged slice, "
                "or write numbers such as 12,57-59."
            )
        return parse_slices(text)

    def toggle_damaged(self, z: int) -> None:
        """Mark a slice, or take the mark back."""
        try:
            marked = set(self.damaged_slices())
        except TsainError:
            marked = set()
        self.damaged.setText(format_slices(sorted(marked ^ {z})))
        self.changed.emit()

    def set_stack(self, depth: int, voxel_z: float, unit: str | None, here: int) -> None:
        """Fit the controls to a stack of so many slices; `here` is the one on screen."""
        for slider in (self.first, self.last):
            slider.blockSignals(True)
            slider.setRange(0, max(depth - 1, 1))
            slider.blockSignals(False)
        if not self._between_is_set(depth):
            self._set_pair(min(here, max(depth - 2, 0)))
        self.z_size.setSuffix(f" {unit_symbol(unit)}" if unit else "")
        self.z_size.setDecimals(max(3, 3 - floor(log10(voxel_z))))  # micrometres are small
        self.z_size.setRange(voxel_z / 8, voxel_z * 0.999)
        self.z_size.setSingleStep(voxel_z / 16)
        if self.factor.currentText() != _BY_SIZE:
            self.z_size.setValue(voxel_z / _FACTORS[self.factor.currentText()])

    def _whole_page(self) -> QWidget:
        self.factor = QComboBox()
        self.factor.addItems([*_FACTORS, _BY_SIZE])
        self.factor.setToolTip("How many times as many slices, or a z voxel size of your own")
        self.z_size = QDoubleSpinBox()
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
        self.first.setToolTip("The slice before; the viewer follows")
        self.last.setToolTip("The slice after; the viewer follows")
        self.first.valueChanged.connect(self._first_moved)
        self.last.valueChanged.connect(self._last_moved)
        self.between_factor = QComboBox()
        self.between_factor.addItems(list(_FACTORS))
        self.between_factor.setToolTip("2 x: one slice between; 4 x: three; 8 x: seven")
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
        self.mark = QPushButton(f"Mark slice on screen ({MARK_KEY})")
        self.mark.setToolTip("Mark it as damaged, or take the mark back")
        self.mark.clicked.connect(self.mark_asked)
        page = QWidget()
        form = QFormLayout(page)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("slices", self.damaged)
        form.addRow("", self.mark)
        return page

    def _mode_chosen(self, mode: str) -> None:
        self._show_page(mode)
        self.changed.emit()

    def _show_page(self, mode: str) -> None:
        for name, page in self._pages.items():
            page.setVisible(name == mode)

    def _factor_chosen(self) -> None:
        by_size = self.factor.currentText() == _BY_SIZE
        self.z_size.setEnabled(by_size)
        self.z_size.setToolTip(
            "The z voxel size wanted: an eighth of the stack's, to less than it"
            if by_size
            else f"Follows from the factor; choose {_BY_SIZE!r} to set it"
        )
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
