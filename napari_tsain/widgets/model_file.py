"""The last choice in lists of models: a file."""

from __future__ import annotations

from enum import Enum


class ModelFile(Enum):
    """What lists of models hold besides names; shown as its text, compared as itself."""

    CHOSEN = "from file ..."

    def __str__(self) -> str:
        return self.value
