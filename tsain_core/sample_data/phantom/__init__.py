"""A generated EM stack: neuropil that no specimen was imaged for."""

from ._phantom import em_phantom

__all__ = ["em_phantom"]
