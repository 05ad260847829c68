"""Text under a dock's buttons that changes while something is computed."""

from __future__ import annotations

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

_FRAME = 6  # pixels above and below the text, in napari's style


class StatusLabel(QLabel):
    """Wrapped text that can be copied, with room kept free so that what is below stays in place.

    Parameters
    ----------
    lines : int
        Lines to keep free.
    parent : QWidget, optional
    """

    def __init__(self, lines: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines = lines
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setAlignment(Qt.AlignmentFlag.AlignTop)
        # a long word, such as a path, must not widen the dock
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._keep_free()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """The window's style sheet may bring a larger font."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._keep_free()

    def _keep_free(self) -> None:
        height = self._lines * self.fontMetrics().lineSpacing() + _FRAME
        if height != self.minimumHeight():
            self.setMinimumHeight(height)
