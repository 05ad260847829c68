"""The dock that interpolates slices."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from ..widgets.loading import LoadingDock

if TYPE_CHECKING:
    import napari

# As the command line does, and before torch is imported: threads that wait do not spin, which
# leaves the processor to the gathering threads, and here to the viewer.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__all__ = ["InterpolateSlices"]


class InterpolateSlices(LoadingDock):
    """Interpolate slices of an Image layer: preview, run, compare; see `InterpolationPanel`.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari gives it to a parameter of this name.
    """

    def __init__(self, napari_viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, f"{__name__}._panel", "InterpolationPanel", parent)
