"""What a model has in common with one that computes by way of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .slice_model import SliceModel, TiledModel

if TYPE_CHECKING:
    import torch

    from .intensity import Scaling
    from .mixing import MixShares


class WrappedModel:
    """Base of models that prepare something and then leave the computing to another.

    Subclasses have `between`, and whatever else is not the other model's.

    Parameters
    ----------
    model : SliceModel
        The one that computes.
    """

    def __init__(self, model: SliceModel) -> None:
        self._model = model

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
    def mix_shares(self) -> MixShares | None:
        """See `SliceModel.mix_shares`."""
        return self._model.mix_shares

    @property
    def brightness_slices(self) -> int:
        """See `SliceModel.brightness_slices`."""
        return self._model.brightness_slices

    @property
    def detail(self) -> float:
        """See `SliceModel.detail`."""
        return self._model.detail

    @property
    def tiled(self) -> TiledModel | None:
        """See `SliceModel.tiled`."""
        return self._model.tiled

    @property
    def pointwise(self) -> bool:
        """See `SliceModel.pointwise`."""
        return self._model.pointwise

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
        return self._model.provenance()
