"""The dock "Sampling offsets": clicks and drags on the canvas of a real window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication

from napari_tsain.layers.provenance import layer_marks
from napari_tsain.layers.view import camera_of, visible_rectangle
from support.gui import canvas, click, tissue
from support.sampling_dock import (
    STEPS,
    TIMEOUT,
    drag_to,
    on_canvas,
    open_dock,
    pick,
)
from tsain_core.inference.intensity import IntensityRange
from tsain_core.inference.models import InferenceSettings, open_model
from tsain_core.offsets import SamplingProbe


def test_a_click_shows_the_three_steps(qtbot: Any, viewer: Any) -> None:
    dock, source, result = open_dock(viewer)
    assert dock.source.layer == result and dock.source.model == "tsain-lite"
    pick(qtbot, viewer, dock, result, 80, 70)
    (query,) = viewer.layers["Query"].data
    assert query[0] == 1 and np.abs(query[1:] - (80, 70)).max() <= 2

    lo, hi = layer_marks(result).provenance["intensity_range"]
    pair = (IntensityRange(lo, hi).to_unit(source.data[z]) for z in (0, 1))
    wanted = SamplingProbe(open_model("tsain-lite"), *pair).at(*query[1:])
    for i, name in enumerate(STEPS):
        layer, taps = viewer.layers[name], wanted.rsab[i]
        assert layer.data.shape == (9, 3) and set(layer.data[:, 0]) == {1}
        np.testing.assert_allclose(layer.data[:, 1], taps.y.ravel(), atol=1e-3)
        np.testing.assert_allclose(layer.data[:, 2], taps.x.ravel(), atol=1e-3)
        assert list(layer.features["step"]) == [i + 1] * 9
        assert list(layer.features["tap"]) == list(range(9))
        np.testing.assert_allclose(layer.features["dx"], taps.dx.ravel(), atol=1e-3)
        opacity = np.asarray(layer.face_color)[:, 3]
        assert np.argmax(opacity) == np.argmax(taps.mask)
    # on the image, as the image lies
    np.testing.assert_allclose(
        viewer.layers["Query"].data_to_world(query), result.data_to_world(query)
    )
    assert viewer.layers[-1].name == "Query"  # nothing covers it


def test_dragging_moves_the_same_layers(qtbot: Any, viewer: Any) -> None:
    dock, _, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    layers = list(viewer.layers)
    center = np.array(camera_of(viewer).center)
    start, end = (on_canvas(viewer, result, 80, x) for x in (70, 90))
    native = canvas(viewer)
    qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=start)
    for share in (0.25, 0.5, 0.75, 1):
        qtbot.wait(30)  # vispy drops moves that follow within 10 ms
        drag_to(native, start + (end - start) * share)
    qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=end)
    qtbot.waitUntil(lambda: abs(viewer.layers["Query"].data[0, 2] - 90) <= 2, timeout=5000)
    qtbot.waitUntil(lambda: "x 9" in dock.status.text() or "x 8" in dock.status.text())
    assert list(viewer.layers) == layers
    np.testing.assert_array_equal(camera_of(viewer).center, center)  # not panned
    click(qtbot, dock.query.pick)
    assert result.mouse_pan  # panning is back
    before = viewer.layers["Query"].data.copy()
    qtbot.mouseClick(native, Qt.MouseButton.LeftButton, pos=start)
    np.testing.assert_array_equal(viewer.layers["Query"].data, before)


def test_steps_composition_and_real_slices(qtbot: Any, viewer: Any) -> None:
    dock, _, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    click(qtbot, dock.query.step_boxes[0])
    assert len(viewer.layers["RSAB step 1"].data) == 0
    assert len(viewer.layers["RSAB step 2"].data) == 9
    click(qtbot, dock.query.view.buttons["Composed"])
    trace = viewer.layers["RSAB steps 1 to 3 together"]
    assert len(trace.data) > 27 and trace.features["weight"].max() == pytest.approx(1)
    assert len(viewer.layers["RSAB step 2"].data) == 0
    click(qtbot, dock.query.view.buttons["Steps"])
    assert len(trace.data) == 0

    dock.query.real_box.native.setCurrentText("refinement block 1")
    real = viewer.layers["Sampled in the real slices"]
    groups = open_model("tsain-lite").network.settings.groups
    assert len(real.data) == 2 * 9 * groups and set(real.data[:, 0]) == {0, 2}
    assert len({tuple(color[:3]) for color in np.asarray(real.face_color)}) == groups
    for where, z in (("before", 0), ("computed", 1), ("after", 2)):
        click(qtbot, dock.query.jumps[where])
        assert round(result.world_to_data(viewer.dims.point)[0]) == z
    dock.query.real_box.native.setCurrentText("tower, level 3")
    assert len(real.data) == 2 * 9 * groups


def test_the_query_follows_to_other_computed_slices(qtbot: Any, viewer: Any) -> None:
    dock, _, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    viewer.dims.set_point(0, result.data_to_world((3, 0, 0))[0])
    qtbot.waitUntil(lambda: "Slice 3" in dock.status.text(), timeout=TIMEOUT)
    assert set(viewer.layers["RSAB step 1"].data[:, 0]) == {3}


def test_a_real_slice_says_where_to_go(qtbot: Any, viewer: Any) -> None:
    dock, _, result = open_dock(viewer)
    viewer.dims.set_point(0, result.data_to_world((2, 0, 0))[0])
    click(qtbot, dock.query.pick)
    place = on_canvas(viewer, result, 80, 70)
    qtbot.mouseClick(canvas(viewer), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: "go to slice" in dock.status.text(), timeout=5000)
    assert not any(name in viewer.layers for name in STEPS)


def test_a_baseline_samples_nowhere_and_is_told(qtbot: Any, viewer: Any) -> None:
    dock, _, result = open_dock(viewer, model="mean")
    assert "samples nowhere" in dock.status.text()
    pick(qtbot, viewer, dock, result, 80, 70)
    assert len(viewer.layers["RSAB step 1"].data) == 9


def test_of_an_average_the_first_pass_is_shown(viewer: Any) -> None:
    settings = InferenceSettings("cpu", ensemble=2)
    dock, _, _ = open_dock(viewer, data=tissue(2, 64), settings=settings)
    assert "averages of 2 passes" in dock.status.text()


def test_points_lie_on_an_image_that_is_turned_and_in_3d(qtbot: Any, viewer: Any) -> None:
    placed = {
        "scale": (8, 2, 2),
        "translate": (7, 6, 5),
        "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
    }
    dock, _, result = open_dock(viewer, placed=placed)
    dock._picked(result.data_to_world((1, 50, 60)))
    qtbot.waitUntil(lambda: "RSAB step 3" in viewer.layers, timeout=TIMEOUT)
    for name in ("Query", *STEPS):
        layer = viewer.layers[name]
        for point in layer.data:
            np.testing.assert_allclose(layer.data_to_world(point), result.data_to_world(point))
    viewer.dims.ndisplay = 3
    QApplication.processEvents()
    assert len(viewer.layers["RSAB step 3"].data) == 9


def test_a_stack_of_a_time_series(qtbot: Any, viewer: Any) -> None:
    data = np.stack([tissue(3, 160), 255 - tissue(3, 160)])
    placed = {"scale": (1, 9, 1, 1), "axis_labels": ("t", "z", "y", "x")}
    dock, _, result = open_dock(viewer, data=data, placed=placed, index=(1,))
    viewer.dims.set_point(0, 1)
    dock._picked(result.data_to_world((0, 1, 50, 60)))
    qtbot.waitUntil(lambda: "RSAB step 3" in viewer.layers, timeout=TIMEOUT)
    assert viewer.layers["Query"].data.tolist() == [[0, 1, 50, 60]]


def test_map_of_what_is_on_screen(qtbot: Any, viewer: Any) -> None:
    dock, _, result = open_dock(viewer)
    for kind in ("offset length", "spread of the taps"):
        dock.map.kind_box.native.setCurrentText(kind)
        click(qtbot, dock.map.compute)
        qtbot.waitUntil(
            lambda k=kind: any(layer.name.startswith(f"Map: {k}") for layer in viewer.layers),
            timeout=TIMEOUT,
        )
    (layer,) = (layer for layer in viewer.layers if layer.name.startswith("Map"))
    seen = visible_rectangle(result)
    assert layer.data.shape == (1, *seen.shape) and layer.data.std() > 0
    here = result.data_to_world((1, seen.y0 + 7, seen.x0 + 9))
    np.testing.assert_allclose(layer.data_to_world((0, 7, 9)), here, atol=1e-9)
    camera_of(viewer).zoom *= 4
    QApplication.processEvents()
    click(qtbot, dock.map.compute)
    qtbot.waitUntil(lambda: dock.map.compute.isEnabled(), timeout=TIMEOUT)
    (layer,) = (layer for layer in viewer.layers if layer.name.startswith("Map"))
    assert max(layer.data.shape) < 100


def test_layers_that_go_are_no_trouble(qtbot: Any, viewer: Any) -> None:
    dock, _, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    viewer.layers.remove("RSAB step 2")
    pick(qtbot, viewer, dock, result, 60, 60)
    assert len(viewer.layers["RSAB step 2"].data) == 9
    viewer.layers.remove(result)
    assert dock.source.layer is None
    place = QPoint(300, 300)
    qtbot.mouseClick(canvas(viewer), Qt.MouseButton.LeftButton, pos=place)
    assert "No layer has computed slices" in dock.status.text()


def test_closing_the_dock_takes_its_layers_along(qtbot: Any, viewer: Any) -> None:
    before = list(viewer.mouse_drag_callbacks)
    dock, source, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    viewer.window.remove_dock_widget(dock)
    assert [layer.name for layer in viewer.layers] == [source.name, result.name]
    assert all(layer.mouse_pan for layer in viewer.layers)
    assert viewer.mouse_drag_callbacks == before


def test_closing_the_viewer_while_it_computes(qtbot: Any, viewer: Any) -> None:
    dock, _, result = open_dock(viewer, data=tissue(3, 700), model="mean")
    queue = dock._queue
    click(qtbot, dock.map.compute)
    del dock, result
    viewer.close()
    qtbot.waitUntil(lambda: not queue.busy, timeout=10_000)
