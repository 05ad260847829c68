"""The dock "Sampling offsets": clicks and drags on the canvas of a real window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gui import (  # noqa: F401
    add_dock,
    canvas,
    click,
    own_settings,
    plugin_known,
    tissue,
    viewer,
)
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_tsain import interpolate_layer
from napari_tsain.layers.provenance import HELPER_KEY, layer_marks
from napari_tsain.layers.view import camera_of, visible_rectangle
from tsain_core.inference.intensity import IntensityRange
from tsain_core.inference.models import InferenceSettings, default_model, open_model
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.offsets import SamplingProbe

TIMEOUT = 60_000
STEPS = ("RSAB step 1", "RSAB step 2", "RSAB step 3")
PLACED = {
    "scale": (40, 4, 4),
    "translate": (100, 20, 30),
    "units": "nanometer",
    "axis_labels": ("z", "y", "x"),
}


def open_dock(viewer: Any, **more: Any) -> tuple[Any, Any, Any]:  # noqa: F811
    """(dock, source, result) with a computed slice on screen, and picking switched on."""
    options = {"factor": 2, "model": "tsain-lite"} | more
    data = options.pop("data", tissue(4, 160))
    source = viewer.add_image(data, name="stack", **options.pop("placed", PLACED))
    result = interpolate_layer(source, **options)
    viewer.add_layer(result)
    dock = add_dock(viewer, "Sampling offsets")
    axis = dock.source.layer.ndim - 3
    viewer.dims.set_point(axis, result.data_to_world(np.eye(result.ndim)[axis])[axis])
    QApplication.processEvents()
    return dock, source, result


def on_canvas(viewer: Any, layer: Any, y: float, x: float) -> QPoint:  # noqa: F811
    """Where on the canvas a pixel of a layer is seen."""
    size = canvas(viewer).size()
    camera = camera_of(viewer)
    world = np.asarray(layer.data_to_world((0,) * (layer.ndim - 2) + (y, x)))[-2:]
    moved = (world - np.asarray(camera.center)[-2:]) * camera.zoom
    return QPoint(round(size.width() / 2 + moved[1]), round(size.height() / 2 + moved[0]))


def pick(qtbot: Any, viewer: Any, dock: Any, layer: Any, y: float, x: float) -> None:  # noqa: F811
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


def test_a_click_shows_the_three_steps(qtbot: Any, viewer: Any) -> None:  # noqa: F811
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


def test_dragging_moves_the_same_layers(qtbot: Any, viewer: Any) -> None:  # noqa: F811
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


def test_steps_composition_and_real_slices(qtbot: Any, viewer: Any) -> None:  # noqa: F811
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

    dock.query.real_box.value = "refinement block 1"
    real = viewer.layers["Sampled in the real slices"]
    groups = open_model("tsain-lite").network.settings.groups
    assert len(real.data) == 2 * 9 * groups and set(real.data[:, 0]) == {0, 2}
    assert len({tuple(color[:3]) for color in np.asarray(real.face_color)}) == groups
    for where, z in (("before", 0), ("computed", 1), ("after", 2)):
        click(qtbot, dock.query.jumps[where])
        assert round(result.world_to_data(viewer.dims.point)[0]) == z
    dock.query.real_box.value = "tower, level 3"
    assert len(real.data) == 2 * 9 * groups


def test_the_query_follows_to_other_computed_slices(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    dock, _, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    viewer.dims.set_point(0, result.data_to_world((3, 0, 0))[0])
    qtbot.waitUntil(lambda: "Slice 3" in dock.status.text(), timeout=TIMEOUT)
    assert set(viewer.layers["RSAB step 1"].data[:, 0]) == {3}


def test_a_real_slice_says_where_to_go(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    dock, _, result = open_dock(viewer)
    viewer.dims.set_point(0, result.data_to_world((2, 0, 0))[0])
    click(qtbot, dock.query.pick)
    place = on_canvas(viewer, result, 80, 70)
    qtbot.mouseClick(canvas(viewer), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: "go to slice" in dock.status.text(), timeout=5000)
    assert not any(name in viewer.layers for name in STEPS)


def test_a_baseline_samples_nowhere_and_is_told(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    dock, _, result = open_dock(viewer, model="mean")
    assert "samples nowhere" in dock.status.text()
    pick(qtbot, viewer, dock, result, 80, 70)
    assert len(viewer.layers["RSAB step 1"].data) == 9


def test_of_an_average_the_first_pass_is_shown(viewer: Any) -> None:  # noqa: F811
    settings = InferenceSettings("cpu", ensemble=2)
    dock, _, _ = open_dock(viewer, data=tissue(2, 64), settings=settings)
    assert "averages of 2 passes" in dock.status.text()


def test_points_lie_on_an_image_that_is_turned_and_in_3d(qtbot: Any, viewer: Any) -> None:  # noqa: F811
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


def test_a_stack_of_a_time_series(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    data = np.stack([tissue(3, 160), 255 - tissue(3, 160)])
    placed = {"scale": (1, 9, 1, 1), "axis_labels": ("t", "z", "y", "x")}
    dock, _, result = open_dock(viewer, data=data, placed=placed, index=(1,))
    viewer.dims.set_point(0, 1)
    dock._picked(result.data_to_world((0, 1, 50, 60)))
    qtbot.waitUntil(lambda: "RSAB step 3" in viewer.layers, timeout=TIMEOUT)
    assert viewer.layers["Query"].data.tolist() == [[0, 1, 50, 60]]


def test_map_of_what_is_on_screen(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    dock, _, result = open_dock(viewer)
    for kind in ("offset length", "spread of the taps"):
        dock.map.kind_box.value = kind
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


def test_layers_that_go_are_no_trouble(qtbot: Any, viewer: Any) -> None:  # noqa: F811
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


def test_closing_the_dock_takes_its_layers_along(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    before = list(viewer.mouse_drag_callbacks)
    dock, source, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    viewer.window.remove_dock_widget(dock)
    assert [layer.name for layer in viewer.layers] == [source.name, result.name]
    assert all(layer.mouse_pan for layer in viewer.layers)
    assert viewer.mouse_drag_callbacks == before


def test_closing_the_viewer_while_it_computes(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    dock, _, result = open_dock(viewer, data=tissue(3, 700), model="mean")
    queue = dock._queue
    click(qtbot, dock.map.compute)
    del dock, result
    viewer.close()
    qtbot.waitUntil(lambda: not queue.busy, timeout=10_000)


def names_of_helpers(viewer: Any) -> list[str]:  # noqa: F811
    return [layer.name for layer in viewer.layers if layer.metadata.get(HELPER_KEY)]


def settle(qtbot: Any) -> None:
    """Let timers of no length run, and the canvas be drawn."""
    qtbot.wait(50)
    QApplication.processEvents()


@pytest.mark.parametrize("way", ["remove", "select all", "clear"])
def test_helpers_go_with_the_result(qtbot: Any, viewer: Any, way: str) -> None:  # noqa: F811
    dock, source, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    dock.query.real_box.value = "refinement block 1"
    click(qtbot, dock.map.compute)
    qtbot.waitUntil(lambda: any(n.startswith("Map") for n in names_of_helpers(viewer)))
    assert len(names_of_helpers(viewer)) == 6
    if way == "remove":
        viewer.layers.remove(result)
    elif way == "select all":
        viewer.layers.select_all()
        viewer.layers.selection.remove(source)
        viewer.layers.remove_selected()
    else:
        viewer.layers.clear()
    settle(qtbot)
    assert names_of_helpers(viewer) == []
    assert list(viewer.layers) == ([] if way == "clear" else [source])


def test_helpers_go_when_another_result_is_chosen(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    dock, source, result = open_dock(viewer)
    other = viewer.add_layer(interpolate_layer(source, factor=2, model="mean"))
    pick(qtbot, viewer, dock, result, 80, 70)
    dock.source.layer_box.value = other
    settle(qtbot)
    assert names_of_helpers(viewer) == []


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1), (2, 1, 0)])
def test_a_rolled_view_says_what_to_do(qtbot: Any, viewer: Any, order: tuple[int, ...]) -> None:  # noqa: F811
    dock, _, result = open_dock(viewer)
    viewer.dims.order = order
    shown = " and ".join("zyx"[axis] for axis in order[-2:])
    assert f"shows {shown}" in dock.status.text() and "Show y and x" in dock.status.text()
    click(qtbot, dock.query.pick)
    dock.status.setText("")
    center = canvas(viewer).rect().center()
    qtbot.mouseClick(canvas(viewer), Qt.MouseButton.LeftButton, pos=center)
    assert f"shows {shown}" in dock.status.text() and not names_of_helpers(viewer)
    click(qtbot, dock.map.compute)
    assert f"shows {shown}" in dock.status.text()
    click(qtbot, dock.query.turn)
    assert not dock.query.turn.isVisible() and "click into" in dock.status.text()
    viewer.reset_view()
    pick(qtbot, viewer, dock, result, 80, 70)


def test_a_view_in_3d_says_so_and_a_mirrored_one_works(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    dock, _, result = open_dock(viewer)
    viewer.dims.ndisplay = 3
    assert "3D" in dock.status.text() and dock.query.turn.isVisible()
    viewer.dims.ndisplay = 2
    assert not dock.query.turn.isVisible()
    viewer.dims.order = (0, 2, 1)  # y and x all the same
    assert not dock.query.turn.isVisible()
    dock._picked(result.data_to_world((1, 50, 60)))
    qtbot.waitUntil(lambda: "RSAB step 3" in viewer.layers, timeout=TIMEOUT)
    assert viewer.layers["Query"].data.tolist() == [[1, 50, 60]]


def painted(viewer: Any, layer: Any, place: QPoint, radius: int = 12) -> int:  # noqa: F811
    """How many pixels of the canvas round a place a layer changes."""

    def shot() -> NDArray[Any]:
        QApplication.processEvents()
        whole = viewer.screenshot(canvas_only=True, flash=False).astype(int)[..., :3]
        y, x = place.y(), place.x()
        return np.asarray(whole[max(0, y - radius) : y + radius, max(0, x - radius) : x + radius])

    with_it = shot()
    layer.visible = False
    without = shot()
    layer.visible = True
    return int((np.abs(with_it - without).max(-1) > 25).sum())


@pytest.mark.parametrize("scale", [(1, 1, 1), (40, 4, 4)])
def test_points_are_seen_at_every_zoom(
    qtbot: Any,
    viewer: Any,  # noqa: F811
    scale: tuple[int, ...],
) -> None:
    """At whole-slice zoom they were less than a pixel wide."""
    data = np.full((2, 3000, 3000), 90, np.uint8)
    dock, _, result = open_dock(viewer, data=data, model="mean", placed={"scale": scale})
    viewer.reset_view()
    dock._picked(result.data_to_world((1, 1500, 1500)))
    qtbot.waitUntil(lambda: "RSAB step 3" in viewer.layers, timeout=TIMEOUT)
    middle = on_canvas(viewer, result, 1500, 1500)
    step = viewer.layers["RSAB step 3"]
    for zoom in (1, 1 / 4, 400):
        camera_of(viewer).zoom *= zoom
        qtbot.wait(100)
        on_screen = step.size * camera_of(viewer).zoom * scale[-1]
        assert on_screen.min() > 5.9 and on_screen.max() < 20.1
        assert painted(viewer, viewer.layers["Query"], middle, 40) > 60
        if zoom <= 1:  # else they are spread wide
            assert painted(viewer, step, middle) > 20


def test_no_stray_dot_at_the_origin(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    """napari draws an invisible point there for layers without a point in the slice."""
    dock, _, result = open_dock(viewer)
    origin = on_canvas(viewer, result, 0, 0)
    pick(qtbot, viewer, dock, result, 80, 70)
    click(qtbot, dock.query.step_boxes[0])  # without points
    click(qtbot, dock.query.pick)
    for z in (1, 2):
        viewer.dims.set_point(0, result.data_to_world((z, 0, 0))[0])
        for name in ("Query", *STEPS):
            assert painted(viewer, viewer.layers[name], origin) == 0, (name, z)


def test_layers_follow_where_the_result_is_put(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    dock, _, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    click(qtbot, dock.map.compute)
    qtbot.waitUntil(lambda: len(names_of_helpers(viewer)) == 5)
    (map_layer,) = (layer for layer in viewer.layers if layer.name.startswith("Map"))
    corner = result.world_to_data(map_layer.data_to_world((0, 0, 0)))
    result.scale = (10, 7, 7)
    result.translate = (1, 2, 3)
    result.units = "micrometer"
    result.affine = np.array([[1, 0, 0, 5], [0, 0, -1, 6], [0, 1, 0, 7], [0, 0, 0, 1]])
    for name in names_of_helpers(viewer):
        layer = viewer.layers[name]
        assert layer.units == result.units
        if "Map" in name:
            np.testing.assert_allclose(
                layer.data_to_world((0, 0, 0)), result.data_to_world(corner), atol=1e-6
            )
        else:
            for point in layer.data:
                np.testing.assert_allclose(layer.data_to_world(point), result.data_to_world(point))


def test_other_data_and_another_name_are_heard(qtbot: Any, viewer: Any) -> None:  # noqa: F811
    dock, source, result = open_dock(viewer)
    second = interpolate_layer(source, factor=2, model="mean")
    viewer.add_layer(second)
    assert dock.source.layer == result
    pick(qtbot, viewer, dock, result, 80, 70)
    before = viewer.layers["RSAB step 1"].features["dx"].to_numpy().copy()
    result.name = "renamed"
    assert dock.source.layer_box.native.findText("renamed") >= 0
    assert dock.source.layer == result and "Query" in viewer.layers
    computed = result.data
    result.data = np.ascontiguousarray(computed[:, ::-1])  # its marks are for other slices now
    settle(qtbot)
    assert names_of_helpers(viewer) == []
    assert dock.source.layer == second and result not in dock.source.layer_box.choices
    result.data = computed
    dock.source.layer_box.value = result
    pick(qtbot, viewer, dock, result, 80, 70)
    np.testing.assert_allclose(viewer.layers["RSAB step 1"].features["dx"], before)


def test_the_selected_result_is_chosen(viewer: Any) -> None:  # noqa: F811
    source = viewer.add_image(tissue(3, 64), name="stack")
    first, second = (
        viewer.add_layer(interpolate_layer(source, factor=2, model="mean")) for _ in range(2)
    )
    viewer.layers.selection.active = first
    assert add_dock(viewer, "Sampling offsets").source.layer == first
    viewer.layers.selection.active = second
    assert add_dock(viewer, "Sampling offsets").source.layer in (first, second)


def test_a_network_of_another_stack_does_not_stay_chosen(
    viewer: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stirred_network: Any,
) -> None:
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path))
    save(
        tmp_path / "models" / "tuned.safetensors",
        stirred_network,
        ModelInfo("tuned", stirred_network.settings),
    )
    dock, source, result = open_dock(viewer, data=tissue(2, 64), model="tuned")
    assert dock.source.model == "tuned"
    other = viewer.add_layer(interpolate_layer(source, factor=2, model="mean"))
    dock.source.layer_box.value = other
    assert dock.source.model == default_model() and "samples nowhere" in dock.status.text()
    (tmp_path / "models" / "tuned.safetensors").unlink()
    dock.source.refresh_models()
    dock.source.layer_box.value = result
    assert "'tuned'" in dock.status.text() and "Choose its file" in dock.status.text()


def test_a_wrong_model_file_is_told(qtbot: Any, viewer: Any, tmp_path: Path) -> None:  # noqa: F811
    dock, _, result = open_dock(viewer)
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no model")
    dock.source.model_box.value = "from file ..."
    dock.source.file_box.value = wrong
    click(qtbot, dock.query.pick)
    place = on_canvas(viewer, result, 80, 70)
    qtbot.mouseClick(canvas(viewer), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: "wrong.safetensors" in dock.status.text(), timeout=TIMEOUT)


def test_fits_a_full_hd_screen(viewer: Any) -> None:  # noqa: F811
    dock, _, _ = open_dock(viewer)
    assert dock.minimumSizeHint().height() < 940 and dock.minimumSizeHint().width() < 420
