"""What a computed slice gets after the network: a share of the mean, then fine detail."""

from __future__ import annotations

from fractions import Fraction

from . import detail, mixing
from .slice_model import Image, SliceModel


def finish(
    model: SliceModel, image: Image, before: Image, after: Image, fraction: Fraction
) -> Image:
    """A slice as it is written.

    Parameters
    ----------
    model : SliceModel
        Says in which shares, and how much detail.
    image : ndarray (y, x)
        Computed by it, at `fraction` of the way from `before` to `after`.
    before, after : ndarray (y, x)
        The real slices, scaled as `image` is.
    fraction : Fraction
    """
    shares = model.mix_shares
    if shares is not None:
        shares = shares.before_detail if model.detail else shares
        image = mixing.mix_with_mean(image, before, after, fraction, shares)
    return detail.add_detail(image, before, after, fraction, model.detail)


def reach(model: SliceModel) -> int:
    """Pixels round a pixel that `finish` depends on."""
    mixed = mixing.REACH if model.mix_shares is not None else 0
    return mixed + (detail.REACH if model.detail else 0)
