"""Damaged slices in the dock "Interpolate slices": found, listed, shown, dismissed, replaced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_tsain.layers.provenance import layer_marks
from support.gui import add_dock, click, overlay_text, tissue, type_into

TIMEOUT = 60_000


def rows(dock: Any) -> dict[str, bool]:
    """Text of each row -> whether it is ticked."""
    items = [dock.damage.list.item(i) for i in range(dock.damage.list.count())]
    return {item.text(): item.checkState() == Qt.CheckState.Checked for item in items}


@pytest.fixture
def dock(qtbot: Any, viewer: Any) -> Any:
    """The dock, in mode Replace, with a stack of which two slices are damaged."""
    data = tissue(10, 64)
    data[3], data[0] = 0, 0
    viewer.add_image(data, name="stack")
    opened = add_dock(viewer, "Interpolate slices")
    opened.selection.mode_box.choose("Replace")
    QApplication.processEvents()
    return opened


def test_find_show_dismiss_and_replace(qtbot: Any, viewer: Any, dock: Any) -> None:
    damage = dock.damage
    assert not damage.list.isVisible()
    click(qtbot, damage.look)
    qtbot.waitUntil(lambda: "2 damaged slices found" in dock.bar.status.text(), timeout=TIMEOUT)
    # the first slice has neighbours on one side only: listed, but not to be replaced
    assert rows(dock) == {"0  missing, 1.00": False, "3  missing, 1.00": True}
    assert dock.selection.damaged.text() == "3"

    damage.list.setCurrentRow(1)
    assert viewer.dims.current_step[0] == 3
    assert overlay_text(viewer) == "Slice 3 is to be replaced (missing)"

    damage.list.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert dock.selection.damaged.text() == "" and rows(dock)["3  missing, 1.00"] is False
    type_into(qtbot, dock.selection.damaged, "3,5")
    assert rows(dock)["5  marked by hand"] and rows(dock)["3  missing, 1.00"]

    damage.list.setCurrentRow(2)
    click(qtbot, damage.dismiss)
    assert dock.selection.damaged.text() == "3" and len(rows(dock)) == 2

    before = set(viewer.layers)
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=TIMEOUT)
    (layer,) = set(viewer.layers) - before
    assert layer_marks(layer).synthetic == (3,) and layer.data[3].std() > 1


def test_another_stack_has_other_findings(qtbot: Any, viewer: Any, dock: Any) -> None:
    click(qtbot, dock.damage.look)
    qtbot.waitUntil(lambda: "found" in dock.bar.status.text(), timeout=TIMEOUT)
    other = viewer.add_image(tissue(6, 64), name="other")
    dock.source.layer_box.value = other
    QApplication.processEvents()
    assert "0  missing, 1.00" not in rows(dock)


def test_stopping_and_closing(qtbot: Any, viewer: Any, dock: Any) -> None:
    viewer.add_image(np.zeros((400, 64, 64), np.uint8), name="long")
    dock.source.layer_box.value = viewer.layers["long"]
    QApplication.processEvents()
    click(qtbot, dock.damage.look)
    qtbot.waitUntil(lambda: "Looking for" in dock.bar.status.text(), timeout=TIMEOUT)
    click(qtbot, dock.damage.look)
    qtbot.waitUntil(lambda: "Stopped" in dock.bar.status.text(), timeout=TIMEOUT)
    assert dock.damage.look.text() == "Find damaged" and not rows(dock)
    click(qtbot, dock.damage.look)  # the dock goes while it looks
    viewer.window.remove_dock_widget("all")
