"""Sample data for napari: a phantom, and real stacks that are downloaded once."""

from .sample_layers import em_phantom_layer, fib25, sample_layer, vnc1

__all__ = ["em_phantom_layer", "fib25", "sample_layer", "vnc1"]
