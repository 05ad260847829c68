"""The `tsain` command: one file a subcommand, each with `add_parser` and `run`."""

from .main import main

__all__ = ["main"]
