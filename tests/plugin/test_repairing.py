"""Damaged parts of slices in the dock "Interpolate slices": marked by a layer, or found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QApplication

from napari_tsain.io import get_reader, layer_data
from napari_tsain.io._writer import save_layer
from napari_tsain.layers.provenance import layer_marks
from support.gui import add_dock, click, overlay_text, tissue, type_into

TIMEOUT = 60_000


@pytest.fixture
def dock(qtbot: Any, viewer: Any) -> Any:
    """The dock, in mode Replace, with a stack of which one slice has a white hole."""
    data = tissue(8, 64)
    data[3, 20:30, 25:45] = 255
    viewer.add_image(data, name="stack", scale=(40, 5, 5))
    opened = add_dock(viewer, "Interpolate slices")
    opened.selection.mode_box.choose("Replace")
    opened.model.model_box.value = "mean"
    QApplication.processEvents()
    return opened


def choose(dock: Any, text: str) -> None:
    dock.parts.setCurrentIndex(dock.parts.findText(text))
    QApplication.processEvents()


def repaired(qtbot: Any, viewer: Any, dock: Any) -> Any:
    before = set(viewer.layers)
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=TIMEOUT)
    (layer,) = set(viewer.layers) - before
    return layer


def test_labels_and_shapes_and_found_parts(
    qtbot: Any,
    viewer: Any,
    dock: Any,
    tmp_path: Path,
) -> None:
    source = viewer.layers["stack"]
    truth = source.data.copy()
    labels = viewer.add_labels(np.zeros((8, 64, 64), np.int32), name="damage", scale=(40, 5, 5))
    choose(dock, "damage")
    assert "marks no pixel" in dock.effect.text() and not dock.bar.run.isEnabled()
    labels.selected_label, labels.brush_size = 7, 12
    labels.paint((3, 25, 35), 7)  # as the brush does
    qtbot.waitUntil(lambda: "marked pixels of slice 3" in dock.effect.text(), timeout=TIMEOUT)
    result = repaired(qtbot, viewer, dock)
    mask = labels.data > 0
    np.testing.assert_array_equal(result.data[~mask], truth[~mask])
    np.testing.assert_array_equal(source.data, truth)
    marks = layer_marks(result)
    assert marks.synthetic == () and set(marks.partial) == {3} and not marks.doubt
    assert "1 slices repaired in part" in dock.bar.status.text()
    viewer.dims.set_current_step(0, 3)
    assert overlay_text(viewer).startswith(f"Slice 3 is PARTLY SYNTHETIC: {mask.sum()} pixels")
    viewer.dims.set_current_step(0, 4)
    assert "SYNTHETIC" not in overlay_text(viewer)

    for name in ("r.zarr", "r.h5", "r.ome.tif"):  # saved and opened again
        for _ in save_layer(tmp_path / name, result):
            pass
        data, attributes, _ = layer_data(tmp_path / name)
        assert attributes["metadata"]["tsain"]["partial_slices"]["3"]["pixels"] == mask.sum()

    shapes = viewer.add_shapes(
        [np.array([[3, 18, 23], [3, 18, 47], [3, 32, 47], [3, 32, 23]]) * (40, 5, 5)],
        shape_type="rectangle",
        name="outline",
    )
    dock.source.layer_box.value = source
    choose(dock, shapes.name)
    second = repaired(qtbot, viewer, dock)
    changed = np.argwhere((second.data != truth).any(0))
    assert changed.min(0).tolist() >= [18, 23] and changed.max(0).tolist() <= [32, 47]
    assert second.data[3, 20:30, 25:45].max() < 255

    choose(dock, "damaged parts of them")
    assert "No slice is marked" in dock.effect.text()
    type_into(qtbot, dock.selection.damaged, "3")
    dock.source.layer_box.value = source
    QApplication.processEvents()
    third = repaired(qtbot, viewer, dock)
    assert third.data[3, 20:30, 25:45].max() < 255
    np.testing.assert_array_equal(np.delete(third.data, 3, 0), np.delete(truth, 3, 0))


def test_to_a_file_and_the_command(
    qtbot: Any,
    viewer: Any,
    dock: Any,
    tmp_path: Path,
) -> None:
    data = np.zeros((8, 64, 64), np.uint8)
    data[3, 20:30, 25:45] = 1
    labels = viewer.add_labels(data, name="damage")
    choose(dock, "damage")
    dock.output.where.choose("OME-Zarr on disk")
    dock.output.path_box.value = tmp_path / "r.zarr"
    QApplication.processEvents()
    result = repaired(qtbot, viewer, dock)
    assert set(layer_marks(result).partial) == {3}
    assert (tmp_path / "r.zarr").is_dir()
    choose(dock, "damaged parts of them")
    type_into(qtbot, dock.selection.damaged, "3")
    viewer.layers.remove(labels)
    assert dock.parts.currentText() == "damaged parts of them"
    assert dock.parts.findText("damage") < 0


@pytest.mark.parametrize("on_disk", [False, True])
def test_pairs_are_looked_at_and_aligned(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    on_disk: bool,
) -> None:
    data = tissue(6, 128)
    data[3] = 0
    viewer.add_image(data, name="stack")
    dock = add_dock(viewer, "Interpolate slices")
    dock.model.model_box.value = "mean"
    dock.model.align_box.value = dock.model.match_box.value = True
    if on_disk:
        dock.output.where.choose("OME-Zarr on disk")
        dock.output.path_box.value = tmp_path / "r.zarr"
    QApplication.processEvents()
    with notification_manager:
        result = repaired(qtbot, viewer, dock)
        told = [str(n.message) for n in notification_manager.records]
    assert any("Slice 3 shows nothing" in text and '"Replace": 3' in text for text in told)
    marks = layer_marks(result)
    assert marks.synthetic == (1, 3, 5, 7, 9) and marks.provenance["aligned"] is True
    values = result.data[0] if result.multiscale else result.data
    np.testing.assert_array_equal(np.asarray(values)[::2], data)


@pytest.mark.parametrize("on_disk", [False, True])
def test_labels_go_along(qtbot: Any, viewer: Any, tmp_path: Path, on_disk: bool) -> None:
    viewer.add_image(tissue(4, 64), name="stack", scale=(40, 5, 5))
    dock = add_dock(viewer, "Interpolate slices")
    dock.model.model_box.value = "mean"
    QApplication.processEvents()
    assert not dock.labels.isVisible()
    data = np.zeros((4, 64, 64), np.uint16)
    for z in range(4):
        data[z, 20:40, 10 + 4 * z : 30 + 4 * z] = 900
    viewer.add_labels(data, name="cells", scale=(40, 5, 5))
    QApplication.processEvents()
    assert dock.labels.isVisible()
    dock.labels.box.setCurrentIndex(dock.labels.box.findText("cells"))
    if on_disk:
        dock.output.where.choose("OME-Zarr on disk")
        dock.output.path_box.value = tmp_path / "r.zarr"
        QApplication.processEvents()
    before = set(viewer.layers)
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=TIMEOUT)
    (labels,) = (one for one in set(viewer.layers) - before if type(one).__name__ == "Labels")
    assert labels.name == "cells x2 (mean)" and labels.data.dtype == np.uint16
    np.testing.assert_array_equal(labels.scale, (20, 5, 5))
    made = np.asarray(labels.data)
    np.testing.assert_array_equal(made[::2], data)
    assert set(np.unique(made)) == {0, 900}
    if on_disk:
        read = get_reader(str(tmp_path / "r.zarr"))(str(tmp_path / "r.zarr"))  # type: ignore[misc]
        assert [kind for _, _, kind in read] == ["image", "labels"]
        assert read[1][1]["name"] == "cells" and read[1][1]["scale"] == read[0][1]["scale"]
        (one,) = viewer.open(tmp_path / "r.zarr" / "labels" / "cells", plugin="napari-tsain")
        assert type(one).__name__ == "Labels" and layer_marks(one).synthetic == (1, 3, 5)
        np.testing.assert_array_equal(np.asarray(one.data), made)
        return
    np.testing.assert_allclose(np.argwhere(made[1])[:, 1].mean(), 21.5, atol=0.6)
    viewer.layers.remove("cells")
    viewer.add_labels(np.zeros((3, 64, 64), np.uint8), name="other")
    dock.labels.box.setCurrentIndex(dock.labels.box.findText("other"))
    assert "one label a pixel is required" in dock.effect.text()


def test_a_layer_may_have_the_name_of_a_choice(viewer: Any, dock: Any) -> None:
    marked = np.zeros((8, 64, 64), np.int32)
    marked[3, 20:30, 25:45] = 1
    labels = viewer.add_labels(marked, name="whole slices", scale=(40, 5, 5))
    assert dock.parts.layer is None and dock.parts.parts is None
    dock.parts.setCurrentIndex(dock.parts.count() - 1)
    assert dock.parts.layer is labels and dock.parts.parts is not None
    labels.name = "damaged parts of them"
    assert dock.parts.layer is labels
    viewer.layers.remove(labels)
    assert dock.parts.layer is None and dock.parts.parts is None
