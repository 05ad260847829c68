"""Doing something once when a dock goes, however it goes."""

from __future__ import annotations

from contextlib import ExitStack

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget


class Closing(QObject):
    """Unwinds two ExitStacks when a widget loses its dock or is destroyed.

    napari takes a closed dock's widget out of the window and lets go of it, so no close event
    comes; a window that closes destroys it.

    Parameters
    ----------
    widget : QWidget
    delete : bool
        Delete a widget that lost its dock: napari shows it never again.

    Attributes
    ----------
    stack : ExitStack
        Unwound in both cases.
    in_window : ExitStack
        Unwound only if the window stays: what is taken out of the viewer. It comes first.
    """

    def __init__(self, widget: QWidget, *, delete: bool = False) -> None:
        super().__init__(widget)
        self.stack = stack = ExitStack()
        self.in_window = ExitStack()
        self._delete = delete
        widget.installEventFilter(self)
        # the stack alone: neither the widget nor this object is there any more by then
        widget.destroyed.connect(lambda *_: stack.close())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Unwind when the widget stands alone."""
        if (
            event is not None
            and event.type() == QEvent.Type.ParentChange
            and isinstance(watched, QWidget)
            and watched.parent() is None
        ):
            self.in_window.close()
            self.stack.close()
            if self._delete:
                watched.deleteLater()
        return False
