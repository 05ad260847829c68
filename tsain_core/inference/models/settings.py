"""How a network is run: device, precision, tiles, and what is done with pairs and results."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...errors import TsainError, argument
from ...system.records import Record
from ..brightness import MOST_SLICES
from ..ensemble import ENSEMBLES
from ..mixing import LEAST, MEAN_BANDS, MOST, MixShares
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
    mean_shares : tuple of float, or None
        Up to three shares of the mean of neighbours that computed slices get, of what is finer than
        1 pixel, than 2, and than 4, -1 to 1.5: what slices that were left out of the stack show to
        be best. Those left out are 0. See `tsain_core.inference.mixing`.
    own_shares : (float, float)
        By how much of itself what computed slices have of the two finer bands is raised, 0 to 1.5.
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
    mean_shares: tuple[float, ...] | None = None
    own_shares: tuple[float, float] = (0.0, 0.0)
    brightness_slices: int = 1
    detail: float = 0.0
    ensemble: int = 1
    align: bool = False
    match_brightness: bool = False

    @property
    def plain(self) -> InferenceSettings:
        """The same, with one pass, and nothing done with what the network computes."""
        return replace(self.mixed(None), detail=0.0, ensemble=1)

    @property
    def mixes(self) -> bool:
        """Whether what the network computes is mixed with the mean of neighbours."""
        return self.mix_shares is not None or self.brightness_slices > 1

    @property
    def mix_shares(self) -> MixShares | None:
        """Shares of the mix, with zeros for those left out; None without any."""
        if not self.mean_shares and not any(self.own_shares):
            return None
        mean = (*(self.mean_shares or ()), *[0.0] * MEAN_BANDS)
        return MixShares(mean[:MEAN_BANDS], self.own_shares)  # type: ignore[arg-type]

    def mixed(self, shares: MixShares | None, brightness_slices: int = 1) -> InferenceSettings:
        """The same, but mixed in these shares, with the brightness of so many slices a side."""
        mean, own = (shares.mean, shares.own) if shares else (None, MixShares.own)
        return replace(self, mean_shares=mean, own_shares=own, brightness_slices=brightness_slices)

    def mixed_as(self, other: InferenceSettings) -> InferenceSettings:
        """The same, but mixed as by other settings."""
        return self.mixed(other.mix_shares, other.brightness_slices)

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
        shares = self.mean_shares or ()
        if len(shares) > MEAN_BANDS or not all(LEAST <= v <= MOST for v in shares):
            raise TsainError(
                f"The shares of the mean are {shares}; expected up to {MEAN_BANDS} from {LEAST:g} "
                f"to {MOST:g} ({argument('mean_shares')})."
            )
        if not all(0 <= v <= MOST for v in self.own_shares):
            raise TsainError(
                f"The slice's own detail is to be raised by {self.own_shares} of itself; expected "
                f"two shares from 0 to {MOST:g} ({argument('own_shares')})."
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
