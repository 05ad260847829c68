"""Errors as napari's own notifications: one line, the details behind its button."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from napari.utils.notifications import Notification, notification_manager, show_warning

from tsain_core.errors import TsainError, TsainWarning, first_line

from .wording import in_dock_words


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Show what the core warns of in this block, each time; other warnings go their way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TsainWarning)
        try:
            yield
        finally:
            issued = list(caught)
    for warning in issued:
        if issubclass(warning.category, TsainWarning):
            show_warning(str(warning.message))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def notify_error(error: Exception) -> str:
    """Show an error; returns the line for the dock's own status.

    What a user can mend says so itself. Anything else is a fault of ours, and is named as one.
    """
    notification = Notification.from_exception(error)
    if isinstance(error, TsainError):
        notification.message = in_dock_words(error)
    notification_manager.dispatch(notification)
    if isinstance(error, TsainError):
        return str(notification.message)
    return f"Unexpected error: {first_line(error)}. Its details are in the notification."
