"""Is a model any good on this stack? Leave-one-out scores of a few triplets, and what they say."""

from .check import (
    CROP,
    TRIPLETS,
    Checked,
    Chosen,
    auto_candidates,
    check_stack,
    choose_model,
    mix_model,
    model_identity,
    score_key,
    settle_model,
)
from .fit_shares import Mixed
from .pairs import Advice, check_pairs
from .verdict import Comparison, StackCheck, in_words, mixed_name

__all__ = [
    "Advice",
    "CROP",
    "TRIPLETS",
    "Mixed",
    "Checked",
    "Chosen",
    "Comparison",
    "StackCheck",
    "auto_candidates",
    "mix_model",
    "mixed_name",
    "check_pairs",
    "check_stack",
    "choose_model",
    "in_words",
    "model_identity",
    "score_key",
    "settle_model",
]
