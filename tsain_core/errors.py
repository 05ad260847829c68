"""The error a user can cause and mend."""

from __future__ import annotations


class TsainError(ValueError):
    """One line that says what was found, what is needed, and the remedy.

    Raised for anything a user can cause: a file that cannot be read, settings that do not fit
    together, a full disk. The command line prints it without a traceback; the plugin shows it as a
    notification.
    """


def first_line(error: Exception) -> str:
    """First line of a library's message, or the error's name where it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
