"""The maps of uncertainty that lie in a result, as a layer over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..layers.provenance import HELPER_KEY
from ._layer_data import layer_data


def uncertainty_layers(path: str) -> list[tuple[Any, dict[str, Any], str]]:
    """Data, attributes and type of a hidden layer with the maps; none where a file has none."""
    from tsain_core.uncertainty import NAME
    from tsain_core.volumes import list_datasets, open_volume

    place, dataset = Path(path), None
    if place.suffix.lower() == ".zarr" and (place / NAME).is_dir():
        place = place / NAME
    elif place.suffix.lower() == ".h5" and f"volumes/{NAME}" in list_datasets(path):
        dataset = f"volumes/{NAME}"
    else:
        return []
    data, attributes, kind = layer_data(place, dataset)
    finest = data[0] if attributes["multiscale"] else data
    synthetic = open_volume(place, dataset=dataset).synthetic
    shown = np.asarray(finest[synthetic[len(synthetic) // 2]]) if synthetic else np.ones(1)
    attributes |= {
        "name": f"uncertainty of {Path(path).stem}, 90 % within +- grey levels",
        "colormap": "inferno",
        "opacity": 0.6,
        "blending": "translucent_no_depth",
        "contrast_limits": (0.0, max(float(np.percentile(shown, 99.5)), 1.0)),
        "visible": False,
    }
    attributes["metadata"] = attributes["metadata"] | {HELPER_KEY: "uncertainty"}
    return [(data, attributes, kind)]
