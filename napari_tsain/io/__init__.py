"""Opening and saving EM stacks, with scale, units, and which slices are synthetic."""

from ._layer_data import label_layers, layer_data
from ._reader import get_reader
from ._writer import KINDS, cautions, save_layer, write_stack

__all__ = [
    "KINDS",
    "cautions",
    "get_reader",
    "label_layers",
    "layer_data",
    "save_layer",
    "write_stack",
]
