"""Labels beside a stack, interpolated with it."""

from .shapes import labels_between
from .stack import check_labels, labels_to_file, scheduled_labels

__all__ = ["check_labels", "labels_between", "labels_to_file", "scheduled_labels"]
