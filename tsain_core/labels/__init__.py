"""Labels beside a stack, interpolated with it."""

from .shapes import labels_between
from .stack import check_labels, labels_in_zarr, labels_to_file, scheduled_labels

__all__ = ["check_labels", "labels_between", "labels_in_zarr", "labels_to_file", "scheduled_labels"]
