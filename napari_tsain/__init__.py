"""What a napari user sees of slice interpolation; the work is done by `tsain_core`.

What the plugin contributes stands in `napari.yaml`. Importing this package is light: napari does so
when it discovers plugins.
"""

from tsain_core import __version__

from ._api import interpolate_layer

__all__ = ["__version__", "interpolate_layer"]
