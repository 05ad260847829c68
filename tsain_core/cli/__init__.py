"""The `tsain` command: one file a subcommand, each with `EXAMPLES`, `add_options` and `run`."""

from .main import command, main

__all__ = ["command", "main"]
