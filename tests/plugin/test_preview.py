"""The preview of the dock "Interpolate slices", and what it is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QApplication

from napari_tsain.layers.view import camera_of
from support.gui import click, overlay_text, tissue
from support.interpolation_dock import PLACED, TIMEOUT, open_dock, run_and_wait


def test_preview_and_comparison(qtbot: Any, viewer: Any) -> None:
    data = tissue(5, 96)
    source = viewer.add_image(data, name="stack", **PLACED)
    dock = open_dock(viewer)
    viewer.dims.set_point(0, source.data_to_world((1, 0, 0))[0])
    click(qtbot, dock.preview_bar.button)
    qtbot.waitUntil(lambda: "Preview" in viewer.layers, timeout=TIMEOUT)
    layer = viewer.layers["Preview"]
    np.testing.assert_array_equal(layer.scale, source.scale[1:])
    assert "between slices 1 and 2" in overlay_text(viewer)

    computed = layer.data.copy()
    seen = {}
    for name in ("Mean", "Before", "After", "Interpolated"):
        click(qtbot, dock.preview_bar.compare.buttons[name])
        seen[name] = layer.data
    y, x = (int(v) for v in layer.world_to_data(source.data_to_world((0, 0, 0))[1:]))
    region = np.s_[-y : -y + computed.shape[0], -x : -x + computed.shape[1]]
    np.testing.assert_array_equal(seen["Before"], data[1][region])
    np.testing.assert_array_equal(seen["After"], data[2][region])
    mean = (data[1][region].astype(float) + data[2][region]) / 2
    assert np.abs(seen["Mean"] - mean).max() <= 1
    np.testing.assert_array_equal(seen["Interpolated"], computed)
    assert not np.array_equal(computed, seen["Mean"])

    viewer.dims.set_point(0, source.data_to_world((3, 0, 0))[0])
    qtbot.waitUntil(lambda: "between slices 3 and 4" in overlay_text(viewer), timeout=TIMEOUT)
    qtbot.waitUntil(lambda: layer.visible, timeout=TIMEOUT)
    shown = layer.data

    click(qtbot, dock.preview_bar.button)
    assert "Preview" not in viewer.layers and overlay_text(viewer) == ""
    result = run_and_wait(qtbot, viewer, dock)
    difference = np.abs(result.data[7][region].astype(int) - shown)
    assert difference.max() <= 1


def test_preview_computes_what_is_seen(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(tissue(3, 256), name="stack")
    dock = open_dock(viewer)
    camera_of(viewer).zoom *= 4
    QApplication.processEvents()
    click(qtbot, dock.preview_bar.button)
    qtbot.waitUntil(lambda: "Preview" in viewer.layers, timeout=TIMEOUT)
    assert max(viewer.layers["Preview"].data.shape) < 200


def test_preview_of_a_removed_layer_ends(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(tissue(3, 64), name="stack")
    dock = open_dock(viewer)
    click(qtbot, dock.preview_bar.button)
    qtbot.waitUntil(lambda: "Preview" in viewer.layers, timeout=TIMEOUT)
    viewer.layers.remove(viewer.layers["Preview"])
    assert not dock.preview_bar.button.isChecked()
    viewer.layers.clear()
    assert not dock.preview_bar.button.isEnabled()


def go(viewer: Any, layer: Any, z: int) -> None:
    viewer.dims.set_point(0, layer.data_to_world((z, 0, 0))[0])


def shown(qtbot: Any, viewer: Any, z: int) -> None:
    words = f"between slices {z} and {z + 1}"
    qtbot.waitUntil(
        lambda: words in overlay_text(viewer) and "being computed" not in overlay_text(viewer),
        timeout=TIMEOUT,
    )


def test_going_back_is_at_once(qtbot: Any, viewer: Any) -> None:
    source = viewer.add_image(tissue(6, 128), name="stack", **PLACED)
    dock = open_dock(viewer)
    go(viewer, source, 1)
    click(qtbot, dock.preview_bar.button)
    qtbot.waitUntil(lambda: "Preview" in viewer.layers, timeout=TIMEOUT)
    layer = viewer.layers["Preview"]
    first = layer.data.copy()
    go(viewer, source, 2)
    assert layer.visible  # the old picture stays, and says what it is
    qtbot.waitUntil(lambda: "being computed" in overlay_text(viewer), timeout=TIMEOUT)
    assert "between slices 1 and 2" in overlay_text(viewer)
    shown(qtbot, viewer, 2)
    assert not np.array_equal(layer.data, first)
    go(viewer, source, 1)  # no wait
    assert "between slices 1 and 2" in overlay_text(viewer) and not dock._queue.busy
    np.testing.assert_array_equal(layer.data, first)


def test_looks_as_its_source_does(qtbot: Any, viewer: Any) -> None:
    source = viewer.add_image(tissue(3, 64), name="stack", **PLACED)
    dock = open_dock(viewer)
    click(qtbot, dock.preview_bar.button)
    qtbot.waitUntil(lambda: "Preview" in viewer.layers, timeout=TIMEOUT)
    layer = viewer.layers["Preview"]
    source.contrast_limits, source.colormap, source.gamma = (30, 90), "viridis", 0.5
    assert tuple(layer.contrast_limits) == (30, 90) and layer.gamma == 0.5
    assert layer.colormap.name == "viridis"


def test_a_view_of_other_axes_says_how_to_turn_it(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(tissue(4, 64), name="stack", **PLACED)
    dock = open_dock(viewer)
    viewer.dims.order = (1, 0, 2)
    click(qtbot, dock.preview_bar.button)
    qtbot.waitUntil(lambda: "z and x" in dock.bar.status.text(), timeout=TIMEOUT)
    assert "Roll" in dock.bar.status.text() and "2D" not in dock.bar.status.text()
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: "2D view" in dock.bar.status.text(), timeout=TIMEOUT)


def test_shows_a_slice_that_the_result_has(qtbot: Any, viewer: Any) -> None:
    source = viewer.add_image(tissue(4, 64), name="stack", **PLACED)
    dock = open_dock(viewer)
    dock.model.model_box.value = "mean"
    dock.selection.factor.setCurrentText("5 x")
    go(viewer, source, 1)
    click(qtbot, dock.preview_bar.button)
    qtbot.waitUntil(lambda: "Preview" in viewer.layers, timeout=TIMEOUT)
    assert "at 2/5" in overlay_text(viewer) and "2/5" in dock.bar.status.text()
    layer = viewer.layers["Preview"]
    preview = layer.data.copy()
    y, x = (int(v) for v in layer.world_to_data(source.data_to_world((0, 0, 0))[1:]))
    region = np.s_[-y : -y + preview.shape[0], -x : -x + preview.shape[1]]
    click(qtbot, dock.preview_bar.button)
    result = run_and_wait(qtbot, viewer, dock)
    np.testing.assert_array_equal(result.data[7][region], preview)


def test_a_source_that_changes_is_computed_again(qtbot: Any, viewer: Any) -> None:
    source = viewer.add_image(tissue(4, 64), name="stack", **PLACED)
    dock = open_dock(viewer)
    click(qtbot, dock.preview_bar.button)
    qtbot.waitUntil(lambda: "Preview" in viewer.layers, timeout=TIMEOUT)
    layer = viewer.layers["Preview"]
    before = layer.data.copy()
    source.data = 255 - source.data
    qtbot.waitUntil(lambda: not np.array_equal(layer.data, before), timeout=TIMEOUT)
