"""A model that is given pairs of slices which were brought together first."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

import torch

from ..intensity import Scaling
from ..pairing import aligned, brightness_matched
from ..slice_model import Image, Keys, SliceModel, TileDone


class AdjustedModel:
    """A model whose pairs are aligned, or matched in brightness, before each computation.

    It takes whole slices: a shift and a histogram are those of the slice, not of a tile.

    Parameters
    ----------
    model : SliceModel
    align, match_brightness : bool
    """

    def __init__(self, model: SliceModel, align: bool, match_brightness: bool) -> None:
        self._model, self._align, self._match = model, align, match_brightness

    @property
    def name(self) -> str:
        """See `SliceModel.name`."""
        return self._model.name

    @property
    def any_position(self) -> bool:
        """See `SliceModel.any_position`."""
        return self._model.any_position

    @property
    def scaling(self) -> Scaling:
        """See `SliceModel.scaling`."""
        return self._model.scaling

    @property
    def detail(self) -> float:
        """See `SliceModel.detail`."""
        return self._model.detail

    @property
    def tiled(self) -> None:
        """See `SliceModel.tiled`."""
        return

    @property
    def pointwise(self) -> bool:
        """See `SliceModel.pointwise`."""
        return False

    @property
    def device(self) -> torch.device:
        """See `SliceModel.device`."""
        return self._model.device

    @property
    def execution(self) -> str:
        """See `SliceModel.execution`."""
        return self._model.execution

    def provenance(self) -> dict[str, object]:
        """See `SliceModel.provenance`."""
        return {
            **self._model.provenance(),
            **({"aligned": True} if self._align else {}),
            **({"brightness_matched": True} if self._match else {}),
        }

    def between(
        self,
        before: Image,
        after: Image,
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """See `SliceModel.between`."""
        if self._match:
            before, after = brightness_matched(before, after, fraction)
        if self._align:
            before, after = aligned(before, after, fraction)
        return (yield from self._model.between(before, after, fraction))
