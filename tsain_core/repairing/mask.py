"""Which pixels of a stack are damaged: a mask, kept slice by slice in bits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ..inference.tiles import Region
from ..volumes import PartlyComputed, describe_mask
from ..volumes.volume import Shape

Bits = NDArray[np.bool_]
_AT_ONCE = 256 << 20  # voxels of a mask that are read at once


@dataclass(frozen=True)
class _Packed:
    """The masked pixels of a slice: the box that holds them, and its bits."""

    box: Region
    bits: NDArray[np.uint8]

    def open(self) -> Bits:
        height, width = self.box.shape
        flat = np.unpackbits(self.bits, count=height * width)
        return flat.reshape(height, width).astype(bool)


class RepairMask:
    """The damaged pixels of a stack.

    Only the box round the masked pixels of a slice is kept, a bit a pixel.

    Attributes
    ----------
    shape : (z, y, x)
        Of the stack.
    """

    def __init__(self, shape: Shape, slices: Mapping[int, Bits]) -> None:
        self.shape = shape
        self._packed = {z: _pack(bits) for z, bits in slices.items() if bits.any()}

    @classmethod
    def of(cls, mask: Any, shape: Shape, name: str = "The mask") -> RepairMask:
        """A mask of an array-like or Volume (z, y, x): all values but 0 are damaged.

        Raises
        ------
        TsainError
            If it is not of the stack's shape, or marks nothing.
        """
        if tuple(mask.shape) != tuple(shape):
            found, wanted = (" x ".join(str(n) for n in s) for s in (mask.shape, shape))
            raise TsainError(
                f"{name} has {found} voxels and the stack {wanted} (z, y, x); a mask of the same "
                "size is required: draw it on this stack."
            )
        made = cls(shape, {})
        for first, block in _blocks(mask):
            for z, bits in enumerate(block, first):
                if bits.any():
                    made._packed[z] = _pack(bits)
        if not made._packed:
            raise TsainError(f"{name} marks no pixel; at least one other than 0 is required.")
        return made

    @property
    def slices(self) -> tuple[int, ...]:
        """z of the slices that have masked pixels, ascending."""
        return tuple(sorted(self._packed))

    def with_whole(self, slices: Iterable[int]) -> RepairMask:
        """This mask, with whole slices added.

        Raises
        ------
        TsainError
            If a slice lies outside the stack.
        """
        made = RepairMask(self.shape, {})
        made._packed.update(self._packed)
        for z in slices:
            if not 0 <= z < self.shape[0]:
                raise TsainError(
                    f"Slice {z} is to be replaced, but the volume has slices 0 to "
                    f"{self.shape[0] - 1}; slices are counted from 0."
                )
            made._packed[z] = _pack(np.ones(self.shape[1:], bool))
        return made

    def at(self, z: int, box: Region | None = None) -> Bits:
        """Masked pixels (y, x) of a slice, or of a box of it."""
        box = box or Region(0, 0, *self.shape[1:])
        found = np.zeros(box.shape, bool)
        packed = self._packed.get(z)
        if packed is None:
            return found
        own = packed.box
        y0, x0 = max(own.y0, box.y0), max(own.x0, box.x0)
        y1, x1 = min(own.y1, box.y1), min(own.x1, box.x1)
        if y0 < y1 and x0 < x1:
            shared = Region(y0, x0, y1, x1)
            found[shared.within(box).slices] = packed.open()[shared.within(own).slices]
        return found

    def whole(self, z: int) -> bool:
        """Whether all of a slice is masked."""
        packed = self._packed.get(z)
        if packed is None or packed.box.shape != self.shape[1:]:
            return False
        return bool(packed.open().all())

    @property
    def whole_slices(self) -> tuple[int, ...]:
        """z of the slices that are masked as a whole."""
        return tuple(z for z in self.slices if self.whole(z))

    @property
    def digest(self) -> str:
        """Of all masked pixels and their places."""
        found = blake2b(repr(self.shape).encode(), digest_size=16)
        for z in self.slices:
            packed = self._packed[z]
            found.update(repr((z, packed.box)).encode())
            found.update(packed.bits.tobytes())
        return found.hexdigest()

    def partial(self) -> dict[int, PartlyComputed]:
        """z of a slice that is masked in part -> which pixels."""
        return {z: describe_mask(self.at(z)) for z in self.slices if not self.whole(z)}


def _pack(bits: Bits) -> _Packed:
    rows, columns = np.flatnonzero(bits.any(1)), np.flatnonzero(bits.any(0))
    box = Region(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return _Packed(box, np.packbits(bits[box.slices]))


def _blocks(mask: Any) -> Iterable[tuple[int, Bits]]:
    """(first z, masked pixels) of some slices at a time: those that are stored together."""
    depth, height, width = mask.shape
    chunks = getattr(mask, "chunks", None)
    deep = chunks[0] if chunks and isinstance(chunks[0], int) else 1
    deep = max(1, min(deep, _AT_ONCE // (height * width)))
    read = getattr(mask, "read", None)  # of a Volume
    for z in range(0, depth, deep):
        part = slice(z, min(z + deep, depth))
        box = read(part, slice(None), slice(None)) if read else np.asarray(mask[part])
        yield z, box != 0
