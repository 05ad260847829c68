"""What tests of the dock "Interpolate slices" share: a dock, and runs of it."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QApplication

from napari_tsain.layers.provenance import layer_marks
from support.gui import add_dock, click, tissue

TIMEOUT = 60_000


PLACED = {
    "scale": (40, 4, 4),
    "translate": (100, 20, 30),
    "units": "nanometer",
    "axis_labels": ("z", "y", "x"),
    "contrast_limits": (20, 200),
    "colormap": "magma",
    "gamma": 0.8,
}


def open_dock(viewer: Any) -> Any:
    dock = add_dock(viewer, "Interpolate slices")
    QApplication.processEvents()
    return dock


def run_and_wait(qtbot: Any, viewer: Any, dock: Any) -> Any:
    """Click Run; returns the layer that came."""
    before = set(viewer.layers)
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=TIMEOUT)
    (layer,) = set(viewer.layers) - before
    return layer


def begin_long_run(qtbot: Any, viewer: Any) -> Any:
    """A run of seconds, of which the first computed slice has come."""
    viewer.add_image(tissue(12, 224), name="stack", **PLACED)
    dock = open_dock(viewer)
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)
    layer = viewer.layers[1]
    qtbot.waitUntil(lambda: (layer_marks(layer).computed or 0) > 1, timeout=TIMEOUT)
    assert layer_marks(layer).computed < 12
    return dock
