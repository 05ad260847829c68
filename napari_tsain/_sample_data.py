"""Sample data that need no network."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

LayerDataTuple: TypeAlias = "tuple[NDArray[np.uint8], dict[str, Any], str]"

_VOXEL_SIZE = (40.0, 5.0, 5.0)
_UNIT = "nanometer"


def em_phantom_layer() -> list[LayerDataTuple]:
    """Generate a small serial-section stack with sections eight times as thick as a pixel is wide.

    Returns
    -------
    list of (data, attributes, "image")
        One image layer, uint8 (z, y, x), with its voxel size in nanometres.
    """
    from tsain_core.phantom import em_phantom

    attributes = {
        "name": "EM phantom",
        "scale": _VOXEL_SIZE,
        "units": (_UNIT,) * 3,
        "axis_labels": ("z", "y", "x"),
        "contrast_limits": (0, 255),
        "colormap": "gray",
        "metadata": {"generated": "EM phantom, seed 0: no specimen was imaged"},
    }
    return [(em_phantom(), attributes, "image")]
