"""A dock that scrolls where the screen is too small for it."""

from __future__ import annotations

from typing import TypeGuard

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QFormLayout,
    QFrame,
    QMainWindow,
    QScrollArea,
    QScrollBar,
    QVBoxLayout,
    QWidget,
)

_NARROWEST = 236  # pixels of the body; below that, it scrolls sideways too
_LOWEST = 120  # pixels
_WIDEST_BOX = 150  # pixels; a box with longer entries may be narrower than these
_NARROWEST_BOX, _LETTERS = 120, 8
_BY_LENGTH = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
_MARGIN = 2  # pixels round the controls


def scrolled_layout(dock: QWidget) -> QVBoxLayout:
    """The layout for the controls of a dock: within a scroll area that fills it.

    Parameters
    ----------
    dock : QWidget
        Without a layout yet; it stays the widget that napari puts into the window.
    """
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    area = ScrollingBody(dock)
    outer.addWidget(area)
    return area.body_layout


class ScrollingBody(QScrollArea):
    """Scroll area as wide as what is in it, and as low as there is room for.

    Attributes
    ----------
    body_layout : QVBoxLayout
        For the controls.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self._body = QWidget()
        self.body_layout = QVBoxLayout(self._body)
        self.body_layout.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        self.setWidget(self._body)

    def sizeHint(self) -> QSize:  # noqa: N802
        """The size at which nothing has to scroll."""
        wanted = self._body.sizeHint()
        return QSize(wanted.width() + self._bar_width(), wanted.height())

    def fill(self) -> None:
        """To be called once, with all controls in it: fields go below labels where it is narrow.

        The dock takes the width at which nothing is cut, where the window has it.
        """
        for form in self._body.findChildren(QFormLayout):
            form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._narrow_boxes()
        dock = self.parentWidget()
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        window = dock.parentWidget() if dock is not None else None
        if dock is not None and isinstance(window, QMainWindow) and not dock.isFloating():
            width = self.sizeHint().width()
            window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Wide enough for the controls, if they are not very wide; of any height."""
        narrowest = min(self._body.minimumSizeHint().width(), _NARROWEST)
        return QSize(narrowest + self._bar_width(), _LOWEST)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """The mouse wheel scrolls: it changes no value that was not clicked first."""
        if watched is None or event is None:
            return False
        if watched is self._body and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
            self._spare_from_wheel()
            self._narrow_boxes()
        elif event.type() == QEvent.Type.Wheel and _is_value(watched) and not watched.hasFocus():
            if (bar := self.verticalScrollBar()) is not None:
                QApplication.sendEvent(bar, event)
            return True
        return bool(super().eventFilter(watched, event))

    def _narrow_boxes(self) -> None:
        """Boxes with long entries, such as names of layers, do not widen the dock."""
        for box in self._body.findChildren(QComboBox):
            if box.minimumSizeHint().width() > _WIDEST_BOX:
                box.setSizeAdjustPolicy(_BY_LENGTH)
                box.setMinimumContentsLength(_LETTERS)
                box.setMinimumWidth(_NARROWEST_BOX)  # Qt keeps the hint of before

    def _bar_width(self) -> int:
        bar = self.verticalScrollBar()
        return bar.sizeHint().width() + 1 if bar is not None else 0  # a pixel lies between

    def _spare_from_wheel(self) -> None:
        for kind in (QComboBox, QAbstractSpinBox, QAbstractSlider):
            for box in self._body.findChildren(kind):
                if _is_value(box):
                    box.removeEventFilter(self)  # once is enough
                    box.installEventFilter(self)
                    if box.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                        box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


def _is_value(widget: QObject) -> TypeGuard[QWidget]:
    """Whether the mouse wheel would change a value of the widget."""
    values = (QComboBox, QAbstractSpinBox, QAbstractSlider)
    return isinstance(widget, values) and not isinstance(widget, QScrollBar)
