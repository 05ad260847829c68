"""A model that is given pairs of slices which were brought together first."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

from ..pairing import aligned, brightness_matched
from ..slice_model import Image, Keys, SliceModel, TiledModel, TileDone
from ..wrapped_model import WrappedModel


class AdjustedModel(WrappedModel):
    """A model whose pairs are aligned, or matched in brightness, before each computation.

    It takes whole slices: a shift and a histogram are those of the slice, not of a tile.

    Parameters
    ----------
    model : SliceModel
    align, match_brightness : bool
    """

    def __init__(self, model: SliceModel, align: bool, match_brightness: bool) -> None:
        super().__init__(model)
        self._align, self._match = align, match_brightness

    @property
    def tiled(self) -> None:
        """See `SliceModel.tiled`."""
        return

    @property
    def inner(self) -> SliceModel:
        """The model that computes, in tiles of its own."""
        return self._model

    @property
    def pointwise(self) -> bool:
        """See `SliceModel.pointwise`."""
        return False

    def provenance(self) -> dict[str, object]:
        """See `SliceModel.provenance`."""
        return {
            **super().provenance(),
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


def cutting_model(model: SliceModel) -> TiledModel | None:
    """The model that cuts slices into tiles, also where these are brought together whole before."""
    return model.inner.tiled if isinstance(model, AdjustedModel) else model.tiled
