"""Errors as napari's own notifications: one line, the details behind its button."""

from __future__ import annotations

from napari.utils.notifications import Notification, notification_manager

from tsain_core.errors import TsainError, first_line


def notify_error(error: Exception) -> str:
    """Show an error; returns the line for the dock's own status.

    What a user can mend says so itself. Anything else is a fault of ours, and is named as one.
    """
    notification_manager.dispatch(Notification.from_exception(error))
    if isinstance(error, TsainError):
        return str(error)
    return f"Unexpected error: {first_line(error)}. Its details are in the notification."
