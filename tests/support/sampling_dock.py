"""What tests of the dock "Sampling offsets" share: a result, clicks and drags on the canvas."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_tsain import interpolate_layer
from napari_tsain.layers.provenance import HELPER_KEY
from napari_tsain.layers.view import camera_of
from support.gui import add_dock, canvas, click, tissue

TIMEOUT = 60_000
STEPS = ("RSAB step 1", "RSAB step 2", "RSAB step 3")
PLACED = {
    "scale": (40, 4, 4),
    "translate": (100, 20, 30),
    "units": "nanometer",
    "axis_labels": ("z", "y", "x"),
}


def open_dock(viewer: Any, **more: Any) -> tuple[Any, Any, Any]:
    """(dock, source, result) with a computed slice on screen, and picking switched on."""
    options = {"factor": 2, "model": "tsain-lite"} | more
    data = options.pop("data", tissue(3, 128))
    source = viewer.add_image(data, name="stack", **options.pop("placed", PLACED))
    result = interpolate_layer(source, **options)
    viewer.add_layer(result)
    dock = add_dock(viewer, "Sampling offsets")
    axis = dock.source.layer.ndim - 3
    viewer.dims.set_point(axis, result.data_to_world(np.eye(result.ndim)[axis])[axis])
    QApplication.processEvents()
    return dock, source, result


def on_canvas(viewer: Any, layer: Any, y: float, x: float) -> QPoint:
    """Where on the canvas a pixel of a layer is seen."""
    size = canvas(viewer).size()
    camera = camera_of(viewer)
    world = np.asarray(layer.data_to_world((0,) * (layer.ndim - 2) + (y, x)))[-2:]
    moved = (world - np.asarray(camera.center)[-2:]) * camera.zoom
    return QPoint(round(size.width() / 2 + moved[1]), round(size.height() / 2 + moved[0]))


def pick(qtbot: Any, viewer: Any, dock: Any, layer: Any, y: float, x: float) -> None:
    """Click on a pixel, with picking on, and wait for the points."""
    if not dock.query.pick.isChecked():
        click(qtbot, dock.query.pick)
    before = dock.status.text()
    place = on_canvas(viewer, layer, y, x)
    qtbot.mouseMove(canvas(viewer), place)
    qtbot.mouseClick(canvas(viewer), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: "mean offsets" in dock.status.text(), timeout=TIMEOUT)
    qtbot.waitUntil(lambda: dock.status.text() != before, timeout=TIMEOUT)


def drag_to(widget: QWidget, place: QPoint) -> None:
    """Move the mouse with its left button down, which qtbot's mouseMove does not say."""
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(place),
        QPointF(widget.mapToGlobal(place)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(widget, event)


def names_of_helpers(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers if layer.metadata.get(HELPER_KEY)]


def settle(qtbot: Any) -> None:
    """Let timers of no length run, and the canvas be drawn."""
    qtbot.wait(50)
    QApplication.processEvents()
