"""Features of the latest slices, which serve the next pair, too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from hashlib import blake2b

import numpy as np

from ...network import Features
from ..ensemble import DihedralTransform
from ..region import Region
from ..slice_model import Image

_MOST_IMAGES = 6  # whose features are kept: those of the halvings of one gap
_Key = tuple[Hashable, Region, DihedralTransform]


def values_key(image: Image) -> Hashable:
    """Key of a slice by its grey values, for callers that do not say which slice it is."""
    digest = blake2b(np.ascontiguousarray(image).data, digest_size=16)
    return image.shape, image.dtype.str, digest.digest()


class FeatureCache:
    """Features of tiles, each turned in one or more ways; the least recently used go first.

    A slice is known by its key: the engine's `SliceKey`, or that of its grey values. Arrays may be
    changed and their memory used again.

    Parameters
    ----------
    budget : int
        Bytes.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._size = 0
        self._entries: OrderedDict[_Key, Features] = OrderedDict()

    def get(self, slice_: Hashable, read: Region, turn: DihedralTransform) -> Features | None:
        """What is known of a tile of a slice."""
        key = slice_, read, turn
        features = self._entries.get(key)
        if features is not None:
            self._entries.move_to_end(key)
        return features

    def put(
        self, slice_: Hashable, read: Region, turn: DihedralTransform, features: Features
    ) -> None:
        """Keep features, as far as there is room."""
        self._entries[slice_, read, turn] = features
        self._size += features.nbytes
        images = list(dict.fromkeys(key[0] for key in self._entries))
        while self._entries and (self._size > self.budget or len(images) > _MOST_IMAGES):
            oldest = next(iter(self._entries))
            self._size -= self._entries.pop(oldest).nbytes
            images = list(dict.fromkeys(key[0] for key in self._entries))
