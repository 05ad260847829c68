"""The dock that shows where the network sampled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from ..widgets.loading import LoadingDock

if TYPE_CHECKING:
    import napari

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in `napari_tsain.interpolation`

__all__ = ["SamplingOffsets"]


class SamplingOffsets(LoadingDock):
    """Where the network sampled for a pixel of a computed slice; see `SamplingPanel`.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari gives it to a parameter of this name.
    """

    def __init__(self, napari_viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, f"{__name__}._panel", "SamplingPanel", parent)
