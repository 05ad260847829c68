"""Report and uncertainty in the dock "Interpolate slices": made, shown as layers, stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_tsain.interpolation._report import error_stack
from napari_tsain.io import get_reader
from napari_tsain.layers.provenance import HELPER_KEY
from support.gui import add_dock, click, tissue
from tsain_core.stack_report import ErrorStack
from tsain_core.volumes import create_volume
from tsain_core.volumes.companion import create_companion

TIMEOUT = 120_000


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))


def test_errors_are_transparent_where_nothing_was_left_out() -> None:
    image = np.full((4, 6), 3, np.float16)
    stack = error_stack(ErrorStack({2: image}, (5, 10, 12), (3, 3)))
    assert stack.shape == (5, 10, 12) and stack.dtype == np.float32
    shown = stack[2].compute()
    assert np.isfinite(shown).sum() == 24 and (shown[3:7, 3:9] == 3).all()
    assert np.isnan(stack[1].compute()).all()


def test_report_and_layer_of_errors(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = viewer.add_image(tissue(7, 64), name="my <b>stack</b>", scale=(4, 2, 2))
    dock = add_dock(viewer, "Interpolate slices")
    dock.model.model_box.value = "mean"
    QApplication.processEvents()
    folder = tmp_path / "a & b"
    chosen = ("napari_tsain.interpolation._report.QFileDialog.getSaveFileName",)
    monkeypatch.setattr(*chosen, lambda *_: (str(folder), ""))
    click(qtbot, dock.report.button)
    assert dock.report.button.text() == "Stop"
    qtbot.waitUntil(lambda: "Open the report" in dock.report.text.text(), timeout=TIMEOUT)
    assert dock.report.button.text() == "Report ..." and (folder / "report.html").is_file()
    assert f'href="{(folder / "report.html").as_uri()}"' in dock.report.text.text()
    errors = viewer.layers["errors of mean"]
    np.testing.assert_allclose(errors.extent.world, layer.extent.world)
    expected = (np.float32(layer.data[2]) + layer.data[4]) / 2 - layer.data[3]
    assert np.abs(np.asarray(errors.data[3]) - expected).max() < 0.6
    assert dock.source.layer is layer  # not the layer of errors

    click(qtbot, dock.report.button)  # there is a report of this name
    assert "holds a report" in dock.report.text.text()
    monkeypatch.setattr(*chosen, lambda *_: (str(tmp_path / "second"), ""))
    click(qtbot, dock.report.button)
    click(qtbot, dock.report.button)
    qtbot.waitUntil(lambda: "Stopped" in dock.report.text.text(), timeout=TIMEOUT)
    assert not (tmp_path / "second").exists()


def test_uncertainty_follows_the_result(qtbot: Any, viewer: Any) -> None:
    layer = viewer.add_image(tissue(9, 64), name="stack", scale=(4, 2, 2), translate=(8, 1, 1))
    dock = add_dock(viewer, "Interpolate slices")
    dock.model.model_box.value = "mean"
    QApplication.processEvents()
    row = dock.uncertainty
    click(qtbot, row.button)
    assert row.button.text() == "Stop"
    qtbot.waitUntil(lambda: "90 % intervals" in row.text.text(), timeout=TIMEOUT)
    assert row.button.text() == "Uncertainty" and "7 slices of this stack" in row.text.text()
    maps = next(m for m in viewer.layers if m.name.startswith("uncertainty of mean"))
    assert maps.data.shape == (17, 64, 64)
    np.testing.assert_allclose(maps.scale, (2, 2, 2))
    np.testing.assert_allclose(maps.translate, layer.translate)
    assert not maps.data[::2].any() and maps.data[1::2].any(axis=(1, 2)).all()
    assert dock.source.layer is layer
    dock.selection.mode_box.choose("Replace")
    QApplication.processEvents()
    click(qtbot, row.button)
    assert row.button.text() != "Stop" and row.text.text()


@pytest.mark.parametrize("ending", ["zarr", "h5"])
def test_maps_in_a_result_come_as_a_hidden_layer(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"r.{ending}"
    stack = np.arange(5 * 16 * 16, dtype=np.uint8).reshape(5, 16, 16)
    with create_volume(path, stack.shape, stack.dtype, synthetic=(1, 3)) as writer:
        for z, image in enumerate(stack):
            writer.write(z, image)
    read = get_reader(str(path))
    assert len(read(str(path))) == 1
    about = {"voxel_size": (2.0, 1.0, 1.0), "synthetic": (1, 3)}
    with create_companion(path, "uncertainty", stack.shape, stack.dtype, **about) as write:
        for z in range(5):
            write(z, np.full((16, 16), 7 * (z % 2), np.uint8))
    result, maps = read(str(path))
    assert np.array_equal(np.asarray(result[0]), stack) and HELPER_KEY not in result[1]["metadata"]
    assert maps[1]["visible"] is False and maps[1]["metadata"][HELPER_KEY] == "uncertainty"
    assert maps[1]["contrast_limits"] == (0.0, 7.0) and np.asarray(maps[0])[3].min() == 7
