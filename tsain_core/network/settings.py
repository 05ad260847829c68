"""Structure of a network, and the named structures."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..errors import TsainError
from ..system.records import Record

_LARGEST = 4096  # channels, blocks, groups


@dataclass(frozen=True)
class NetworkSettings(Record):
    """Structure of the network; the defaults are the paper's, with k2 = 10.

    Parameters
    ----------
    channels : int
        Feature channels C; a multiple of `groups`.
    image_channels : int
        Channels of the image going in and out; a grey image is repeated, and averaged at the end.
    feature_blocks, reconstruction_blocks : int
        Residual blocks k1 and k2.
    rsabs, drbs : int
        Number of residual spatial-adaptive and of deformable refinement blocks.
    groups : int
        Offset groups of the temporal towers and of the refinement blocks.
    unshuffle : int
        Work on images whose `unshuffle` x `unshuffle` pixels became channels. 1 is the paper's.
    residual : bool
        Predict the difference to the mean of the two slices. The paper's network does not.
    positions : bool
        Compute a slice at any fraction of the way, not only half-way: the fraction goes into both
        temporal towers and into their fusion. The paper's network does not.

    Raises
    ------
    TsainError
        If a number is out of range.
    """

    channels: int = 64
    image_channels: int = 3
    feature_blocks: int = 5
    reconstruction_blocks: int = 10
    rsabs: int = 3
    drbs: int = 3
    groups: int = 8
    unshuffle: int = 1
    residual: bool = False
    positions: bool = False

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self) if not isinstance(f.default, bool)):
            value = getattr(self, name)
            least = 0 if name.endswith("blocks") or name in ("rsabs", "drbs") else 1
            if not least <= value <= _LARGEST:
                raise TsainError(f"{name} is {value}; {least} to {_LARGEST} is required.")
        if self.channels % self.groups:
            raise TsainError(
                f"{self.channels} channels do not make {self.groups} groups; channels must be a "
                "multiple of groups."
            )

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this: two pyramid levels, and the unshuffling."""
        return 4 * self.unshuffle


PRESETS: dict[str, NetworkSettings] = {
    # the size the paper reports: 5,664,180 parameters
    "tsain": NetworkSettings(),
    # the paper's sentence "k2 = 40": 7,879,860 parameters
    "tsain-40": NetworkSettings(reconstruction_blocks=40),
    # between both in cost; starts from tsain-lite's weights
    "tsain-base": NetworkSettings(
        channels=48,
        image_channels=1,
        feature_blocks=3,
        reconstruction_blocks=8,
        drbs=3,
        groups=4,
        unshuffle=2,
        residual=True,
        positions=True,
    ),
    # for machines without a GPU
    "tsain-lite": NetworkSettings(
        channels=32,
        image_channels=1,
        feature_blocks=2,
        reconstruction_blocks=5,
        drbs=2,
        groups=4,
        unshuffle=2,
        residual=True,
        positions=True,
    ),
}
