"""How an output is cut into blocks that no two workers share a file of: pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil, lcm, prod

from ..errors import TsainError, argument
from ..inference.region import Region
from ..volumes.volume import Shape

_VOXELS = 1 << 26  # of a block, about: what is lost when a worker dies
_FEWEST = 8  # blocks along z, as far as there are slices: so that workers share the load
_DEEPEST = 512  # slices of a block that begins where chunks of the source do


@dataclass(frozen=True)
class Block:
    """A box of one level of the output.

    Attributes
    ----------
    level, index : int
        Of the pyramid, and among the blocks of that level.
    z0, z1 : int
        Slices of the output, half-open.
    region : Region
        Rows and columns.
    """

    level: int
    index: int
    z0: int
    z1: int
    region: Region

    @property
    def shape(self) -> Shape:
        """(z, y, x)."""
        return self.z1 - self.z0, *self.region.shape

    @property
    def voxels(self) -> int:
        """How many it holds."""
        return prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of this block in its level."""
        return slice(self.z0, self.z1), *self.region.slices

    def __str__(self) -> str:
        r = self.region
        box = f"z {self.z0}-{self.z1 - 1}, y {r.y0}-{r.y1 - 1}, x {r.x0}-{r.x1 - 1}"
        return f"{box} of level {self.level}" if self.level else box


@dataclass(frozen=True)
class BlockGrid:
    """All blocks of a level: boxes of `block` voxels, cut at the end of `shape`."""

    level: int
    shape: Shape
    block: Shape

    @property
    def counts(self) -> Shape:
        """Blocks along z, y and x."""
        z, y, x = (ceil(n / b) for n, b in zip(self.shape, self.block, strict=True))
        return z, y, x

    def __len__(self) -> int:
        return prod(self.counts)

    def __getitem__(self, index: int) -> Block:
        """Block by number; z runs slowest, so that neighbours in a slice follow each other."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        _, rows, columns = self.counts
        at = (index // (rows * columns), index // columns % rows, index % columns)
        starts = [i * b for i, b in zip(at, self.block, strict=True)]
        z1, y1, x1 = (min(s + b, n) for s, b, n in zip(starts, self.block, self.shape, strict=True))
        return Block(self.level, index, starts[0], z1, Region(starts[1], starts[2], y1, x1))


class ReadySlices:
    """How many slices of a level, from its first on, are complete.

    Parameters
    ----------
    grid : BlockGrid
    done : iterable of int
        Blocks that are finished already.
    """

    def __init__(self, grid: BlockGrid, done: Iterable[int]) -> None:
        layers, rows, columns = grid.counts
        self._across, self._deep, self._depth = rows * columns, grid.block[0], grid.shape[0]
        self._missing = [self._across] * layers
        self._first = 0
        for index in done:
            self.finish(index)

    def finish(self, index: int) -> None:
        """A block is done."""
        self._missing[index // self._across] -= 1
        while self._first < len(self._missing) and not self._missing[self._first]:
            self._first += 1

    def count(self, index: int | None = None, written: int = 0) -> int:
        """Complete slices, `written` of them in a block that is being made, if it is the last."""
        ready = min(self._first * self._deep, self._depth)
        if index is None or index // self._across != self._first:
            return ready
        return ready + (written if self._missing[self._first] == 1 else 0)


def choose_block(
    shape: Shape,
    files: Shape,
    tile: int | None,
    whole_slices: bool,
    slices_per_gap: int,
    deep: int,
    need: Callable[[Region], int],
    budget: int,
) -> Shape:
    """The blocks that an output is computed in: whole slices if they fit, else parts of them.

    Parameters
    ----------
    shape : (z, y, x)
        Of the output.
    files : (z, y, x)
        Chunk or shard, which a block must not cut.
    tile : int or None
        Side of the network's tiles, which it must not cut either.
    whole_slices : bool
        The method cannot do with parts of slices.
    slices_per_gap : int
        Output slices from one real slice to the next: blocks begin at real slices where they can.
    deep : int
        Slices of a chunk of the source, which is decompressed as a whole: blocks begin where one
        begins, if they can.
    need : function
        Bytes for a block that covers a region of the slices.
    budget : int
        Bytes that are there.

    Raises
    ------
    TsainError
        If not even the smallest block fits.
    """
    depth, height, width = shape
    steps = [lcm(f, tile or 1) for f in files[1:]]
    parts = [ceil(n / u) for n, u in zip((height, width), steps, strict=True)]
    sides = [height, width]
    while (bytes_needed := need(Region(0, 0, *sides))) > budget:
        longer = int(parts[1] * steps[1] > parts[0] * steps[0])
        if parts[longer] == 1:
            longer = 1 - longer
        if parts[longer] == 1 or whole_slices:
            raise TsainError(
                f"The memory bound leaves {max(0, budget) / 2**20:.0f} MiB for data, and the "
                f"smallest block takes {bytes_needed / 2**20:.0f} MiB; give a larger "
                f"{argument('memory')}, or a smaller {argument('tile')}, {argument('chunks')} or "
                f"{argument('shards')}."
            )
        parts[longer] = ceil(parts[longer] / 2)
        sides[longer] = parts[longer] * steps[longer]
    units = (lcm(files[0], slices_per_gap * deep), lcm(files[0], slices_per_gap), files[0])
    unit = next((u for u in units if u <= _DEEPEST), files[0])
    most = max(1, min(_VOXELS // (sides[0] * sides[1]), ceil(depth / _FEWEST)))
    return max(1, most // unit) * unit, sides[0], sides[1]


def pyramid_block(shape: Shape, files: Shape) -> Shape:
    """The blocks that a coarser level is made in."""
    sides = [
        max(f, min(2048 // f * f, ceil(n / f) * f))
        for f, n in zip(files[1:], shape[1:], strict=True)
    ]
    depth = max(1, (_VOXELS // 16) // (sides[0] * sides[1]) // files[0]) * files[0]
    return depth, sides[0], sides[1]
