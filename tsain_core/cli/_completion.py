"""Completion of commands and options in a shell, as a script that shtab makes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import TsainError

SHELLS = ("bash", "zsh", "tcsh")
#: Arguments that are files or folders.
_FILES = {"input", "output", "csv", "data", "base", "resume", "recipe", "checkpoint"}


class PrintCompletion(argparse.Action):
    """Prints the script for a shell, and ends.

    Parameters
    ----------
    whole_parser : callable
        Makes the parser with the options of all commands.
    """

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        whole_parser: Callable[[], argparse.ArgumentParser],
        **options: Any,
    ) -> None:
        super().__init__(option_strings, dest, choices=SHELLS, **options)
        self._whole_parser = whole_parser

    def __call__(self, parser: argparse.ArgumentParser, *values: Any) -> None:
        """Print the script for the shell that is named."""
        try:
            import shtab
        except ImportError as error:
            raise TsainError(
                "shtab, which makes completion scripts, is not installed; pip install "
                "'napari-tsain[completion]'."
            ) from error
        whole = self._whole_parser()
        for action in _actions(whole):
            if action.dest in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(whole, shell=values[1]))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found += _actions(command)
        else:
            found.append(action)
    return found
