"""Opening and saving EM stacks, with scale, units, and which slices are synthetic."""

from ._layer_data import layer_data
from ._reader import get_reader
from ._writer import write_stack

__all__ = ["get_reader", "layer_data", "write_stack"]
