"""The dock that tunes a model to a stack."""

from ._widget import FineTune

__all__ = ["FineTune"]
