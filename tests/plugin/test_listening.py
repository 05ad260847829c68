"""The dock "Interpolate slices" hears of its layer, and says what will come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_tsain.layers.provenance import layer_marks
from support.gui import click, tissue, type_into
from support.interpolation_dock import PLACED, open_dock, run_and_wait


def settle() -> None:
    for _ in range(5):
        QApplication.processEvents()


def test_scale_units_and_data_set_later(qtbot: Any, viewer: Any) -> None:
    source = viewer.add_image(tissue(4, 64), name="stack")
    dock = open_dock(viewer)
    assert "nm" not in dock.effect.text()
    source.scale, source.units = (40, 4, 4), "nanometer"
    settle()
    assert "z 40 → 20 nm" in dock.effect.text()
    source.data = tissue(9, 64)
    settle()
    assert "9 slices → 17" in dock.effect.text() and dock.selection.last.maximum() == 8
    source.name = "renamed"
    settle()
    assert dock.source.layer == source and dock.source.layer_box.current_choice == "renamed"
    layer = run_and_wait(qtbot, viewer, dock)
    assert layer.scale[0] == 20 and "renamed" in layer.name and len(layer.data) == 17


def test_the_selected_image_is_taken(viewer: Any) -> None:
    first, second = (viewer.add_image(tissue(4, 64), name=name) for name in ("one", "two"))
    viewer.layers.selection.active = second
    dock = open_dock(viewer)
    assert dock.source.layer == second
    viewer.layers.selection.active = first
    assert dock.source.layer == first
    dock.source.layer_box.value = second  # the user's own choice stays
    viewer.layers.selection.active = first
    assert dock.source.layer == second
    third = viewer.add_image(tissue(4, 64), name="three")
    assert dock.source.layer == second
    viewer.layers.remove(second)
    assert dock.source.layer in (first, third)


def test_a_result_does_not_become_the_source(qtbot: Any, viewer: Any) -> None:
    source = viewer.add_image(tissue(4, 64), name="stack")
    dock = open_dock(viewer)
    run_and_wait(qtbot, viewer, dock)
    assert dock.source.layer == source


def test_a_chosen_axis_stays_when_the_layer_changes(viewer: Any) -> None:
    source = viewer.add_image(np.stack([tissue(6, 64)] * 5), axis_labels=("t", "z", "y", "x"))
    dock = open_dock(viewer)
    dock.source.axis_box.value = "0: t"
    source.scale = (2, 2, 1, 1)
    settle()
    assert dock.source.z_axis == 0


def test_between_two_keeps_real_slices(qtbot: Any, viewer: Any) -> None:
    data = tissue(9, 64)
    viewer.add_image(data, name="stack", **PLACED)
    dock = open_dock(viewer)
    click(qtbot, dock.selection.mode_box.buttons["Between two"])
    dock.selection.last.setValue(7)
    dock.selection.first.setValue(4)
    assert "Slices 4 to 7: 4 → 7 slices, 3 of them computed" in dock.effect.text()
    assert "z 40 → 20 nm" in dock.effect.text()
    layer = run_and_wait(qtbot, viewer, dock)
    np.testing.assert_array_equal(layer.data[::2], data[4:8])
    assert layer.scale[0] == 20 and layer_marks(layer).synthetic == (1, 3, 5)


def test_isotropic(qtbot: Any, viewer: Any) -> None:
    source = viewer.add_image(tissue(4, 64), name="stack", **{**PLACED, "scale": (40, 10, 8)})
    dock = open_dock(viewer)
    dock.selection.factor.setCurrentText("isotropic")
    assert dock.selection.z_size.value() == 8 and not dock.selection.z_size.isEnabled()
    layer = run_and_wait(qtbot, viewer, dock)
    np.testing.assert_allclose(layer.scale, (8, 10, 8))
    source.scale = (4, 10, 8)
    settle()
    item = dock.selection.factor.model().item(dock.selection.factor.findText("isotropic"))
    assert not item.isEnabled() and "no further apart" in item.toolTip()
    assert dock.selection.factor.currentText() == "2 x"


@pytest.mark.parametrize("typed", ["1", "80"])
def test_a_z_size_that_cannot_be_stays_and_is_told(qtbot: Any, viewer: Any, typed: str) -> None:
    viewer.add_image(tissue(4, 64), name="stack", **PLACED)
    dock = open_dock(viewer)
    dock.selection.factor.setCurrentText("z size")
    type_into(qtbot, dock.selection.z_size, typed)
    assert dock.selection.z_size.value() == float(typed)
    assert not dock.bar.run.isEnabled() and "of the old one" in dock.effect.text()


@pytest.mark.parametrize("text", ["1-99999999999", "3,99999999999999999999999", "7"])
def test_slices_beyond_the_stack_are_refused_at_once(qtbot: Any, viewer: Any, text: str) -> None:
    viewer.add_image(tissue(4, 64), name="stack")
    dock = open_dock(viewer)
    click(qtbot, dock.selection.mode_box.buttons["Replace"])
    type_into(qtbot, dock.selection.damaged, text)
    assert "0 to 3" in dock.effect.text() and not dock.bar.run.isEnabled()


def test_output_that_cannot_be_written_is_told_before_a_run(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
) -> None:
    viewer.add_image(tissue(4, 64), name="stack")
    dock = open_dock(viewer)
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    (tmp_path / "file").write_text("")
    for path, word in (("none/a.zarr", "does not exist"), ("file/a.zarr", "no folder")):
        type_into(qtbot, dock.output.path_box.line_edit.native, str(tmp_path / path))
        assert not dock.bar.run.isEnabled() and word in dock.effect.text()
    assert not (tmp_path / "none").exists()


def test_marks_that_do_not_fit_are_told(viewer: Any) -> None:
    metadata = {"tsain": {"synthetic_slices": [1, 3], "depth": 5}}
    viewer.add_image(tissue(4, 64), name="cropped", metadata=metadata)
    dock = open_dock(viewer)
    assert "written for 5 slices" in dock.effect.text()


def test_a_tuned_model_stays_with_its_stack(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tsain_core.inference.models import shipped_models

    monkeypatch.setenv("TSAIN_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    tuned = tmp_path / "models" / "mine.safetensors"
    tuned.write_bytes(shipped_models()["tsain-lite"].read_bytes())
    mine = viewer.add_image(tissue(4, 64), name="mine")
    other = viewer.add_image(tissue(4, 64), name="other")
    dock = open_dock(viewer)
    assert "mine" in dock.model.model_box.choices
    dock.source.layer_box.value = mine
    dock.model.model_box.value = "mine"
    dock.source.layer_box.value = other
    assert dock.model.model_box.value == "tsain-lite"
    assert "chosen for another stack" in dock.bar.status.text()
    dock.source.layer_box.value = mine
    assert dock.model.model_box.value == "mine"
    viewer.window.remove_dock_widget(dock)
    viewer.layers.selection.active = other
    assert open_dock(viewer).model.model_box.value == "tsain-lite"
