"""Features of the latest slices, which serve the next pair, too."""

from __future__ import annotations

from collections import OrderedDict

from ..network import Features
from ..tiles import Region
from ._views import Turn
from .slice_model import Image

_MOST_IMAGES = 6  # whose features are kept: those of the halvings of one gap
_Key = tuple[int, Region, Turn]


class FeatureCache:
    """Features of tiles, each turned in one or more ways; the least recently used go first.

    A slice is known by its array object, which is kept alive, so that no other array can be
    mistaken for it.

    Parameters
    ----------
    budget : int
        Bytes.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._size = 0
        self._entries: OrderedDict[_Key, tuple[Image, Features]] = OrderedDict()

    def get(self, image: Image, read: Region, turn: Turn) -> Features | None:
        """What is known of a tile of a slice."""
        key = id(image), read, turn
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, image: Image, read: Region, turn: Turn, features: Features) -> None:
        """Keep features, as far as there is room."""
        self._entries[id(image), read, turn] = image, features
        self._size += features.nbytes
        images = list(dict.fromkeys(key[0] for key in self._entries))
        while self._entries and (self._size > self.budget or len(images) > _MOST_IMAGES):
            oldest = next(iter(self._entries))
            self._size -= self._entries.pop(oldest)[1].nbytes
            images = list(dict.fromkeys(key[0] for key in self._entries))
