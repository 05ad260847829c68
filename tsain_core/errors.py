"""The error a user can cause and mend."""

from __future__ import annotations


class TsainError(ValueError):
    """One line that says what was found, what is needed, and the remedy.

    Raised for anything a user can cause: a file that cannot be read, settings that do not fit
    together, a full disk. The command line prints it without a traceback; the plugin shows it as a
    notification.
    """
