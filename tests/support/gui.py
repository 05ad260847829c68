"""What tests of the plugin's docks share: real windows, real clicks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QCheckBox, QWidget

PLUGIN = "napari-tsain"


def add_dock(viewer: Any, name: str) -> Any:
    """Open a dock of the plugin as the menu does, with its controls; returns its widget."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    widget.finish_loading()
    for _ in range(5):  # until the dock has the width of its controls
        QApplication.processEvents()
    return widget


def click(qtbot: Any, widget: QWidget) -> None:
    """Press a button with the mouse; it must be on screen and enabled."""
    assert widget.isVisible(), f"{widget} is not visible"
    assert widget.isEnabled(), f"{widget} is disabled: {widget.toolTip()}"
    # a check box takes clicks on its box and text only
    place = QPoint(8, widget.height() // 2) if isinstance(widget, QCheckBox) else QPoint()
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=place)


def type_into(qtbot: Any, widget: QWidget, text: str) -> None:
    """Replace the text of a line edit by typing."""
    widget.setFocus()
    qtbot.keyClick(widget, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(widget, text)
    qtbot.keyClick(widget, Qt.Key.Key_Return)


def canvas(viewer: Any) -> QWidget:
    """The widget that takes mouse and keys over the image."""
    native: QWidget = viewer.window._qt_viewer.canvas.native
    return native


def overlay_text(viewer: Any) -> str:
    """What stands on the canvas, its lines joined; empty if nothing does."""
    overlay = viewer.canvas.overlays.text if hasattr(viewer, "canvas") else viewer.text_overlay
    return " ".join(str(overlay.text).split()) if overlay.visible else ""


def tissue(depth: int, side: int, dtype: Any = np.uint8) -> NDArray[Any]:
    """Grey blobs that drift with z (depth, side, side)."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).normal(size=(depth, side, side))
    smooth = gaussian_filter(noise, (1.0, 3, 3), mode="wrap")
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    scale = 255 if np.dtype(dtype).kind in "ui" else 1
    return np.asarray(smooth * scale).astype(dtype)
