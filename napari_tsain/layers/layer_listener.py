"""Hearing of changes of one layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class LayerListener:
    """Calls back at events of one layer at a time.

    Parameters
    ----------
    names : iterable of str
        Events of layers; those that a layer does not have are left out.
    callback : callable (event)
    """

    def __init__(self, names: Iterable[str], callback: Callable[[Any], None]) -> None:
        self._names, self._callback = tuple(names), callback
        self.layer: Any = None

    def listen(self, layer: Any) -> None:
        """Hear of this layer, no longer of the last one; of none for None."""
        if layer is self.layer:
            return
        self.stop()
        self.layer = layer
        for emitter in self._emitters():
            emitter.connect(self._heard)

    def stop(self) -> None:
        """Hear of no layer any more."""
        for emitter in self._emitters():
            emitter.disconnect(self._heard)
        self.layer = None

    def _emitters(self) -> list[Any]:
        if self.layer is None:
            return []
        found = (getattr(self.layer.events, name, None) for name in self._names)
        return [emitter for emitter in found if emitter is not None]

    def _heard(self, event: Any) -> None:
        self._callback(event)
