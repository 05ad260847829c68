"""Repairing damaged parts of slices: only masked pixels are computed."""

from .compute import merged_partial, repair, repair_provenance, repair_to_file
from .find import Searched, find_parts
from .mask import RepairMask

__all__ = [
    "RepairMask",
    "Searched",
    "find_parts",
    "merged_partial",
    "repair",
    "repair_provenance",
    "repair_to_file",
]
