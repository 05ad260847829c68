"""Word that a model has come, from the dock that made it to those that offer models."""

from __future__ import annotations

from psygnal import Signal


class ModelNews:
    """`arrived` is emitted with the name of a model that is there now."""

    arrived = Signal(str)


NEWS = ModelNews()
