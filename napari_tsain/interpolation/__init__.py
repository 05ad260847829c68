"""The dock that interpolates slices."""

from ._widget import InterpolateSlices

__all__ = ["InterpolateSlices"]
