"""The dock "Sampling offsets": its helper layers follow what becomes of the result and the view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication

from napari_tsain import interpolate_layer
from napari_tsain.layers.view import camera_of
from napari_tsain.widgets.model_file import ModelFile
from support.gui import add_dock, canvas, click, tissue
from support.sampling_dock import (
    STEPS,
    TIMEOUT,
    names_of_helpers,
    on_canvas,
    open_dock,
    pick,
    settle,
)
from tsain_core.inference.models import default_model
from tsain_core.model_files.checkpoint import ModelInfo, save


@pytest.mark.parametrize("way", ["remove", "select all", "clear"])
def test_helpers_go_with_the_result(qtbot: Any, viewer: Any, way: str) -> None:
    dock, source, result = open_dock(viewer)
    pick(qtbot, viewer, dock, result, 80, 70)
    dock.query.real_box.native.setCurrentText("refinement block 1")
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


def test_helpers_go_when_another_result_is_chosen(qtbot: Any, viewer: Any) -> None:
    dock, source, result = open_dock(viewer)
    other = viewer.add_layer(interpolate_layer(source, factor=2, model="mean"))
    pick(qtbot, viewer, dock, result, 80, 70)
    dock.source.layer_box.value = other
    settle(qtbot)
    assert names_of_helpers(viewer) == []


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1), (2, 1, 0)])
def test_a_rolled_view_says_what_to_do(qtbot: Any, viewer: Any, order: tuple[int, ...]) -> None:
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


def test_a_view_in_3d_says_so_and_a_mirrored_one_works(qtbot: Any, viewer: Any) -> None:
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


def painted(viewer: Any, layer: Any, place: QPoint, radius: int = 12) -> int:
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
    viewer: Any,
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


def test_no_stray_dot_at_the_origin(qtbot: Any, viewer: Any) -> None:
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


def test_layers_follow_where_the_result_is_put(qtbot: Any, viewer: Any) -> None:
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


def test_other_data_and_another_name_are_heard(qtbot: Any, viewer: Any) -> None:
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


def test_the_selected_result_is_chosen(viewer: Any) -> None:
    source = viewer.add_image(tissue(3, 64), name="stack")
    first, second = (
        viewer.add_layer(interpolate_layer(source, factor=2, model="mean")) for _ in range(2)
    )
    viewer.layers.selection.active = first
    assert add_dock(viewer, "Sampling offsets").source.layer == first
    viewer.layers.selection.active = second
    assert add_dock(viewer, "Sampling offsets").source.layer in (first, second)


def test_a_network_of_another_stack_does_not_stay_chosen(
    viewer: Any,
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


def test_a_wrong_model_file_is_told(qtbot: Any, viewer: Any, tmp_path: Path) -> None:
    dock, _, result = open_dock(viewer)
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no model")
    dock.source.model_box.value = ModelFile.CHOSEN
    dock.source.file_box.value = wrong
    click(qtbot, dock.query.pick)
    place = on_canvas(viewer, result, 80, 70)
    qtbot.mouseClick(canvas(viewer), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: "wrong.safetensors" in dock.status.text(), timeout=TIMEOUT)


def test_fits_a_full_hd_screen(viewer: Any) -> None:
    dock, _, _ = open_dock(viewer)
    assert dock.minimumSizeHint().height() < 940 and dock.minimumSizeHint().width() < 420
