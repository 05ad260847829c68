"""What tests share. `tests` is on Python's path while they run: `from support.gui import click`."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
REPOSITORY = TESTS.parent
