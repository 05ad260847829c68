"""Signal emitted when a fine-tuned model has been saved; docks that offer models listen."""

from __future__ import annotations

from psygnal import Signal


class ModelNews:
    """`arrived` is emitted with the name of a model that is there now."""

    arrived = Signal(str)


MODEL_ADDED = ModelNews()
