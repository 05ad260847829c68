"""Triplets of a stack that are fit for a check, cut out of the middle of the slices."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ..evaluation.leave_one_out import central, read_crop, spread_slices
from ..evaluation.metrics import WINDOW

Box = tuple[slice, slice]


class Triplets:
    """Some triplets of a volume, read once; otherwise the volume itself.

    Left out are triplets with a slice that is computed, damaged, empty, or a copy of another one.

    Parameters
    ----------
    volume : Volume or array-like (z, y, x)
    most : int
        Most triplets, evenly spread.
    crop : int
        Side of the central crop.

    Attributes
    ----------
    slices : tuple of int
        Middle slices of the triplets.
    chunks : (z, y, x)
        Of the volume: what is read at once.
    computed : tuple of int
        Its slices that were computed.

    Raises
    ------
    TsainError
        If no triplet is fit, or slices are too small to be scored.
    """

    def __init__(self, volume: Any, most: int, crop: int) -> None:
        depth, height, width = self.shape = volume.shape
        self.dtype = volume.dtype
        self._volume = volume
        self._box = central((height, width), crop)
        self._read: dict[int, NDArray[Any] | None] = {}
        if min(height, width) < WINDOW:
            raise TsainError(
                f"Slices of {height} x {width} px are too small to be checked; at least "
                f"{WINDOW} x {WINDOW} are required."
            )
        self.chunks = getattr(volume, "chunks", (1, height, width))
        self.computed = tuple(getattr(volume, "computed", ()))
        synthetic = set(self.computed)
        real = [z for z in range(1, depth - 1) if not synthetic & {z - 1, z, z + 1}]
        chosen: list[int] = []
        for z in dict.fromkeys((*_spread(real, most), *_spread(real, 3 * most))):
            if len(chosen) < most and self._fit(z):
                chosen.append(z)
        if not chosen:
            raise TsainError(
                "No three neighbouring slices are fit for a check; real ones are required, with "
                "grey values that differ from slice to slice."
            )
        self.slices = tuple(sorted(chosen))

    @property
    def digest(self) -> str:
        """Identifies the grey values of the triplets and the shape of the stack."""
        digest = hashlib.sha256(repr((self.shape, str(self.dtype), self.slices)).encode())
        for z in sorted({z + i for z in self.slices for i in (-1, 0, 1)}):
            image = self._read[z]
            assert image is not None
            digest.update(image.tobytes())
        return digest.hexdigest()[:24]

    def __getitem__(self, z: int) -> NDArray[Any]:
        return np.asarray(self._volume[z])

    def read(self, z: slice, y: slice, x: slice) -> NDArray[Any]:
        """A box of the volume (z, y, x)."""
        kept = self._read.get(z.start) if z.stop - z.start == 1 else None
        if kept is not None and (y, x) == self._box:
            return kept[None]
        if hasattr(self._volume, "read"):
            return np.asarray(self._volume.read(z, y, x))
        return np.stack([self[i][y, x] for i in range(z.start, z.stop)])

    def _fit(self, z: int) -> bool:
        images = [self._image(i) for i in (z - 1, z, z + 1)]
        found = [image for image in images if image is not None]
        return len(found) == 3 and not any(
            np.array_equal(found[i], found[j]) for i, j in ((0, 1), (1, 2), (0, 2))
        )

    def _image(self, z: int) -> NDArray[Any] | None:
        """The crop of a slice, or None if it is damaged, empty or not finite."""
        if z not in self._read:
            try:
                image = read_crop(self._volume, z, self._box)
            except TsainError:
                self._read[z] = None
                return None
            missing = getattr(self._volume, "missing", None)
            y, x = (s.start for s in self._box)
            gaps = missing(image, z, y, x) if missing else None
            good = bool(np.isfinite(image).all()) and image.min() < image.max()
            self._read[z] = image if good and (gaps is None or not gaps.any()) else None
        return self._read[z]


def _spread(items: list[int], most: int) -> list[int]:
    """At most so many of the items, evenly spread."""
    return [items[i - 1] for i in spread_slices(len(items) + 2, most)]
