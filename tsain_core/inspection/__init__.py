"""Finding damaged slices by robust statistics along z and over tiles."""

from .findings import Finding, Inspection, Kind
from .inspect import Looked, inspect_stack

__all__ = ["Finding", "Inspection", "Kind", "Looked", "inspect_stack"]
