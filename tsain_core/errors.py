"""The error a user can cause and mend, and the warning about data that are read all the same."""

from __future__ import annotations

import warnings

_LONGEST = 300


class TsainError(ValueError):
    """One line that says what was found, what is needed, and the remedy.

    Raised for anything a user can cause: a file that cannot be read, settings that do not fit
    together, a full disk. The command line prints it without a traceback; the plugin shows it as a
    notification. File names and texts out of files may hold line breaks, terminal codes and bytes
    that are no text; they are shown as escapes, so that printing the line is safe.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class TsainWarning(UserWarning):
    """One line about data that are read all the same: a file left out, slices that are missing.

    The command line prints it once; the plugin shows it as a notification.
    """


def warn(text: str) -> None:
    """Issue a `TsainWarning` for the reader that calls this."""
    warnings.warn(TsainWarning(printable(text)), stacklevel=2)


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would not simply show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: Exception) -> str:
    """First line of a library's message, or the error's name where it has none; not overlong."""
    line = next(iter(str(error).splitlines()), "").strip().rstrip(".") or type(error).__name__
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
