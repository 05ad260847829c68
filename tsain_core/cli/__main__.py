"""`python -m tsain_core.cli`: the `tsain` command."""

from .main import command

command()
