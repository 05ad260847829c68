"""What every interpolation method looks like from outside, be it a network or a mean."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from .intensity import Scaling
from .mixing import MixShares
from .region import Region
from .tiles import Tile

Image = NDArray[np.float32]  # (y, x)
T = TypeVar("T")
Event = TypeVar("Event")


@dataclass(frozen=True)
class TileDone:
    """A pass over a tile of the slice being computed is finished: progress, a place to stop."""

    done: int
    total: int


@dataclass(frozen=True)
class SliceKey:
    """Which slice an array holds, for models that keep what they know of a slice.

    Attributes
    ----------
    run : object
        Tells runs apart: other volumes, other parts of one, other grey values.
    position : Fraction
        Of the slice, in slices of the source.
    made_from : (int, int) or None
        The pair that it was computed from, or that filled its NaN; None: a real slice as it is,
        the same in both its pairs.
    fraction : Fraction
        Its place between the two real slices that are worked on; not part of the identity.
    """

    run: object
    position: Fraction
    made_from: tuple[int, int] | None = None
    fraction: Fraction = field(default=Fraction(0), compare=False)


#: Keys of the slices before and after.
Keys = tuple[SliceKey, SliceKey]


class SliceModel(Protocol):
    """A method that computes a slice between two slices."""

    @property
    def name(self) -> str:
        """As shown in lists and written into results."""

    @property
    def any_position(self) -> bool:
        """Whether fractions other than 1/2 are computed directly."""

    @property
    def scaling(self) -> Scaling:
        """Which grey values of a volume are scaled to 0 and 1."""

    @property
    def mix_shares(self) -> MixShares | None:
        """Shares by which computed slices are mixed with the mean; see `mix_with_mean`."""

    @property
    def brightness_slices(self) -> int:
        """Slices on each side whose brightness computed ones get; see `Schedule.brightened`."""

    @property
    def detail(self) -> float:
        """Share of the real slices' fine detail that computed ones get; see `add_detail`."""

    def between(
        self,
        before: Image,
        after: Image,
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """Compute the slice at `fraction` of the way; yields after each tile, returns the image.

        Images are (y, x), float32, grey values scaled by the volume's IntensityRange. By `keys` a
        model finds what it knows of a slice from the pair before; without, by the grey values.
        """

    @property
    def tiled(self) -> TiledModel | None:
        """The model, if it computes slices in tiles; None if it takes any image in one piece."""

    @property
    def pointwise(self) -> bool:
        """Whether a pixel depends on the same pixel of the two slices only."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def execution(self) -> str:
        """Device and precision, for people."""

    def provenance(self) -> dict[str, object]:
        """What a result must say about how it was made."""


class TiledModel(SliceModel, Protocol):
    """A model that computes slices in tiles, each read with a halo.

    Attributes
    ----------
    tile, halo : int or None
        Side of the tiles and pixels read around them; None until they are measured or given.
    settings : InferenceSettings
        As it was opened.
    multiple : int
        The sides of what is read are multiples of this.
    """

    tile: int | None
    halo: int | None
    settings: Any

    def with_tiles(
        self, tile: int | None, halo: int | None, feature_memory: int | None
    ) -> TiledModel:
        """The same model with tiles of its own; what it computes is shared with no other."""

    @property
    def multiple(self) -> int:
        """See the attributes."""

    def plan(self, before: Image, after: Image) -> list[Tile]:
        """Tiles for slices of this size."""

    def compute_tiles(
        self,
        before: Image,
        after: Image,
        tiles: Sequence[Tile],
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """As `between`, on some tiles; 0 elsewhere."""

    def tile_for_memory(self) -> int:
        """Side of the largest tiles that the free memory allows."""

    def measure_halo(
        self, shape: tuple[int, int], read: Callable[[Region], tuple[Image, Image]]
    ) -> int:
        """How many pixels around a tile have to be read; `read` gives that part of a pair."""

    def pass_bytes(self, height: int, width: int) -> int:
        """Memory of a pass over an image of this size, on the model's device."""

    def feature_bytes(self, pixels: int) -> int:
        """Memory of what is kept of one slice for its second pair, for so many pixels read."""


def run_to_end(work: Generator[Event, None, T], each: Callable[[Event], object] | None = None) -> T:
    """What a generator returns, such as `SliceModel.between`; `each` gets its events on the way."""
    with closing(work):
        while True:
            try:
                event = next(work)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if each is not None:
                each(event)
