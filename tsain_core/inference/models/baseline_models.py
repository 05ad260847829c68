"""The baselines as slice models: mean of neighbours and optical flow, plain or blurred."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction

import torch

from ..intensity import Scaling
from ..mixing import MixShares
from ..slice_model import Image, Keys, TileDone
from .baselines import blurred, mean_of_neighbours, optical_flow

_METHODS = {"mean": mean_of_neighbours, "optical-flow": optical_flow}

#: Names of the baselines; a suffix "-blur1" or "-blur2" blurs the result (sigma in pixels).
BASELINES = tuple(f"{method}{suffix}" for method in _METHODS for suffix in ("", "-blur1", "-blur2"))


@dataclass(frozen=True)
class BaselineModel:
    """A baseline by name, one of `BASELINES`."""

    name: str
    any_position: bool = True
    mix_shares: MixShares | None = None
    brightness_slices: int = 1
    detail: float = 0.0
    # all grey values: nothing is learned, so nothing is gained by stretching
    scaling: Scaling = Scaling((0.0, 100.0))

    @property
    def tiled(self) -> None:
        """See `SliceModel.tiled`."""

    @property
    def pointwise(self) -> bool:
        """See `SliceModel.pointwise`."""
        return self.name == "mean"

    @property
    def device(self) -> torch.device:
        """See `SliceModel.device`."""
        return torch.device("cpu")

    @property
    def execution(self) -> str:
        """See `SliceModel.execution`."""
        return "cpu"

    def between(
        self,
        before: Image,
        after: Image,
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """See `SliceModel.between`; the slice is one tile."""
        method, _, sigma = self.name.partition("-blur")
        image = _METHODS[method](before, after, float(fraction))
        if sigma:
            image = blurred(image, float(sigma))
        yield TileDone(1, 1)
        return image

    def provenance(self) -> dict[str, object]:
        """See `SliceModel.provenance`."""
        return {"model": self.name}
