"""The error a user can cause and mend, and the warning about data that are read all the same."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

_LONGEST = 300

# An argument within a message: key and value between characters that no text has.
_BEGIN, _MIDDLE, _END = "\ue000", "\ue001", "\ue002"
_ARGUMENT = re.compile(f"{_BEGIN}([a-z_]+){_MIDDLE}([^{_END}]*){_END}")
_SWITCHES = {"accept_changed_input", "leave_out_failed", "overwrite", "restart"}

#: Key and value of an argument -> how a front end calls it.
Wording = Callable[[str, str], str]


def argument(key: str, value: object = "") -> str:
    """Text that stands for an argument in the message of a `TsainError`.

    Python shows it as an argument, the command line as an option, a dock as a control.

    Parameters
    ----------
    key : str
        Name of the argument in Python, such as "restart".
    value : object
        What it is to be, where the message says so.
    """
    return f"{_BEGIN}{key}{_MIDDLE}{printable(str(value))}{_END}"


def as_python(key: str, value: str) -> str:
    """An argument as Python has it: restart=True, voxel_size, every=1."""
    if key in _SWITCHES:
        return f"{key}=True"
    return f"{key}={value}" if value else key


class TsainError(ValueError):
    """One line that says what was found, what is needed, and the remedy.

    Raised for anything a user can cause: a file that cannot be read, settings that do not fit
    together, a full disk. The command line prints it without a traceback; the plugin shows it as a
    notification. Arguments stand in the message as `argument(key)`, and each front end words them.
    File names and texts out of files may hold line breaks, terminal codes and bytes
    that are no text; they are shown as escapes, so that printing the line is safe.
    """

    def __init__(self, message: str = "") -> None:
        # every second part is an argument
        parts = re.split(f"({_ARGUMENT.pattern.replace('(', '(?:')})", message)
        super().__init__("".join(p if i % 2 else printable(p) for i, p in enumerate(parts)))

    def __str__(self) -> str:
        return self.worded(as_python)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Keys of the arguments that the message names, as its remedy or as what is wrong."""
        return tuple(match[1] for match in _ARGUMENT.finditer(self.args[0]))

    def worded(self, wording: Wording) -> str:
        """The message in the words of a front end."""
        return _ARGUMENT.sub(lambda match: wording(match[1], match[2]), self.args[0])


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
