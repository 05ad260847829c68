"""The `tsain` command: one file a subcommand, each with `EXAMPLES`, `add_options` and `run`."""

from .main import main

__all__ = ["main"]
