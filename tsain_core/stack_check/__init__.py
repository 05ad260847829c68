"""Is a model any good on this stack? Leave-one-out scores of a few triplets, and what they say."""

from .check import (
    CROP,
    TRIPLETS,
    Checked,
    auto_candidates,
    check_stack,
    choose_model,
    model_identity,
)
from .pairs import Advice, check_pairs
from .verdict import Comparison, StackCheck, in_words

__all__ = [
    "Advice",
    "CROP",
    "TRIPLETS",
    "Checked",
    "Comparison",
    "StackCheck",
    "auto_candidates",
    "check_pairs",
    "check_stack",
    "choose_model",
    "in_words",
    "model_identity",
]
