"""Rectangles of an image, and what is done with them: the arithmetic of tiles, blocks and views."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """Half-open rectangle [y0, y1) x [x0, x1) in pixels."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this region in an image."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def within(self, outer: Region) -> Region:
        """The same rectangle in coordinates that start at `outer`."""
        return Region(
            self.y0 - outer.y0, self.x0 - outer.x0, self.y1 - outer.y0, self.x1 - outer.x0
        )

    def grow(self, margin: int) -> Region:
        """With a margin on all sides; it may reach beyond the image."""
        return Region(self.y0 - margin, self.x0 - margin, self.y1 + margin, self.x1 + margin)

    def intersect(self, other: Region) -> Region:
        """What both hold."""
        return Region(
            max(self.y0, other.y0),
            max(self.x0, other.x0),
            min(self.y1, other.y1),
            min(self.x1, other.x1),
        )

    def clip(self, shape: tuple[int, int]) -> Region:
        """The part that lies in an image of this shape (height, width)."""
        return self.intersect(Region(0, 0, *shape))

    def snap(self, multiple: int) -> Region:
        """The smallest region around it whose sides are multiples."""
        return Region(
            self.y0 // multiple * multiple,
            self.x0 // multiple * multiple,
            ceil_to(self.y1, multiple),
            ceil_to(self.x1, multiple),
        )


def hull(regions: Iterable[Region]) -> Region:
    """The smallest region that holds all of these."""
    found = list(regions)
    return Region(
        min(r.y0 for r in found),
        min(r.x0 for r in found),
        max(r.y1 for r in found),
        max(r.x1 for r in found),
    )


def ceil_to(value: int, multiple: int) -> int:
    """Smallest multiple not below `value`."""
    return -(-value // multiple) * multiple
