"""How a network is run: device, precision, tiles, and what is done with pairs and results."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...errors import TsainError, argument
from ...system.records import Record
from ..brightness import MOST_SLICES
from ..ensemble import ENSEMBLES
from ..mixing import LEAST, MOST, MeanShares
from .device import Precision

#: Sides of tiles, and halos, that are accepted: pixels.
SMALLEST_TILE, LARGEST_SIDE = 16, 1 << 20


@dataclass(frozen=True)
class InferenceSettings(Record):
    """How a network is run.

    Attributes
    ----------
    device : str
        "auto" takes CUDA, then MPS, then CPU; otherwise as torch names it.
    precision : "auto", "fp32" or "bf16"
        Of the convolutions; sampling is float32 always.
    tile : int or None
        Side of the tiles' write regions in pixels; None chooses from the free memory.
    halo : int or None
        Pixels read around a tile; None takes the receptive radius plus the offsets met.
    compile : bool
        Pass the network through torch.compile: about a minute at first for each shape of tiles,
        faster afterwards on CUDA cards.
    feature_memory : int or None
        Bytes for features of the latest slices, which serve the next pair, too; None takes a share
        of the free memory.
    mean_shares : (float, float) or None
        Shares of the mean of neighbours that computed slices get, of what is finer than 1 pixel
        and than 2: what slices that were left out of the stack show to be best. See
        `tsain_core.inference.mixing`.
    brightness_slices : int
        Real slices on each side whose brightness computed slices get half way, nearer ones more,
        1 to 16; 1 is the pair alone. Of networks only. See `tsain_core.inference.brightness`.
    detail : float
        Share of the real slices' fine detail that computed slices are given, 0 to 1: they are
        sharper, and no truer. See `tsain_core.inference.detail`.
    ensemble : 1, 2, 4, 8 or 16
        Passes over turned, mirrored and reversed views whose average is taken: a little better,
        and so many times slower. See `tsain_core.inference.ensemble`.
    align : bool
        Move both slices of a pair to the place between them first, by whole pixels.
    match_brightness : bool
        Give both slices of a pair the grey values between theirs first.

    Raises
    ------
    TsainError
        If sizes, shares or the number of passes are others.
    """

    device: str = "auto"
    precision: Precision = "auto"
    tile: int | None = None
    halo: int | None = None
    compile: bool = False
    feature_memory: int | None = None
    mean_shares: MeanShares | None = None
    brightness_slices: int = 1
    detail: float = 0.0
    ensemble: int = 1
    align: bool = False
    match_brightness: bool = False

    @property
    def plain(self) -> InferenceSettings:
        """The same, with one pass, and nothing done with what the network computes."""
        return replace(self, mean_shares=None, brightness_slices=1, detail=0.0, ensemble=1)

    @property
    def mixes(self) -> bool:
        """Whether what the network computes is mixed with the mean of neighbours."""
        return self.mean_shares is not None or self.brightness_slices > 1

    def mixed_as(self, other: InferenceSettings) -> InferenceSettings:
        """The same, but mixed as by other settings."""
        return replace(
            self, mean_shares=other.mean_shares, brightness_slices=other.brightness_slices
        )

    @property
    def adjusts(self) -> bool:
        """Whether pairs are brought together first, for which whole slices are required."""
        return self.align or self.match_brightness

    def __post_init__(self) -> None:
        for name, value, least in (("tile", self.tile, SMALLEST_TILE), ("halo", self.halo, 0)):
            if value is not None and not least <= value <= LARGEST_SIDE:
                raise TsainError(
                    f"The {name} is {value} pixels; it must be from {least} to {LARGEST_SIDE} "
                    f"({argument(name)})."
                )
        if self.mean_shares and not all(LEAST <= v <= MOST for v in self.mean_shares):
            raise TsainError(
                f"The shares of the mean are {self.mean_shares}; expected two from {LEAST:g} to "
                f"{MOST:g} ({argument('mean_shares')})."
            )
        if not 1 <= self.brightness_slices <= MOST_SLICES:
            raise TsainError(
                f"The brightness of {self.brightness_slices} slices on each side cannot be taken; "
                f"expected 1 to {MOST_SLICES} ({argument('brightness_slices')})."
            )
        if not 0 <= self.detail <= 1:
            raise TsainError(
                f"The share of detail is {self.detail}; expected one from 0 to 1 "
                f"({argument('detail')})."
            )
        if self.ensemble not in ENSEMBLES:
            raise TsainError(
                f"The ensemble is {self.ensemble}; expected 1, 2, 4, 8 or 16 passes "
                f"({argument('ensemble')})."
            )
