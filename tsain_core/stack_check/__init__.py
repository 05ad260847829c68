"""Is a model any good on this stack? Leave-one-out scores of a few triplets, and what they say."""

from .check import (
    CROP,
    TRIPLETS,
    Checked,
    Chosen,
    auto_candidates,
    calibrate_model,
    check_stack,
    choose_model,
    model_identity,
    settle_model,
)
from .fit_shares import Calibrated
from .pairs import Advice, check_pairs
from .verdict import Comparison, StackCheck, calibrated_name, in_words

__all__ = [
    "Advice",
    "CROP",
    "TRIPLETS",
    "Calibrated",
    "Checked",
    "Chosen",
    "Comparison",
    "StackCheck",
    "auto_candidates",
    "calibrate_model",
    "calibrated_name",
    "check_pairs",
    "check_stack",
    "choose_model",
    "in_words",
    "model_identity",
    "settle_model",
]
