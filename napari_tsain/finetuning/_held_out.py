"""The held-out slice in the viewer: before, now, and as it really is."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..layers.provenance import HELPER_KEY
from ..layers.stack import level_0

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_GAP = 1.04  # widths from one image to the next
NAMES = {"truth": "held-out: real", "before": "held-out: before", "now": "held-out: now"}


class HeldOut:
    """Three Image layers side by side, right of the stack, updated in place."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layers: dict[str, Any] = {}

    def show(self, path: Path, beside: Image | None) -> None:
        """Show what a job has left at `path`; nothing happens while there is nothing.

        Pixels are as large as those of the layer `beside`.
        """
        try:
            with np.load(path) as file:
                images = {key: file[key] for key in NAMES}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return
        placed: dict[str, Any] = {"scale": (1.0, 1.0)}
        y = x = 0.0
        if beside is not None:
            placed = {"scale": beside.scale[-2:], "units": beside.units[-2:]}
            y, x = beside.translate[-2:]
            x += level_0(beside).shape[-1] * beside.scale[-1] * _GAP
        width = images["truth"].shape[1] * placed["scale"][1]
        are_new = not any(layer in self._viewer.layers for layer in self._layers.values())
        for i, (key, name) in enumerate(NAMES.items()):
            layer = self._layers.get(key)
            if layer is None or layer not in self._viewer.layers:
                self._layers[key] = self._viewer.add_image(
                    images[key],
                    name=name,
                    translate=(y, x + _GAP * width * i),
                    contrast_limits=tuple(np.percentile(images["truth"], (0.5, 99.5))),
                    metadata={HELPER_KEY: True},
                    **placed,
                )
            elif not np.array_equal(layer.data, images[key]):
                layer.data = images[key]
        if are_new:
            self._viewer.reset_view()  # or nobody would see them

    def clear(self) -> None:
        """Take the layers out."""
        for layer in self._layers.values():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._layers.clear()
