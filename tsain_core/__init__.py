"""Slice interpolation for electron microscopy stacks: no Qt, no napari.

Importing this package is light: torch comes with the modules that compute.
"""

__version__ = "0.1.0"
