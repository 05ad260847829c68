"""Runs of the dock "Interpolate slices" that are cut short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_tsain.layers.provenance import layer_marks
from support.blockwise import marks
from support.gui import click, overlay_text, tissue, type_into
from support.interpolation_dock import TIMEOUT, begin_long_run, open_dock


def test_cancel_leaves_the_viewer_as_it_was(qtbot: Any, viewer: Any) -> None:
    dock = begin_long_run(qtbot, viewer)
    assert not dock.bar.run.isEnabled() and not dock.preview_bar.button.isEnabled()
    click(qtbot, dock.bar.cancel)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Cancelled"), timeout=TIMEOUT)
    assert [layer.name for layer in viewer.layers] == ["stack"]
    assert overlay_text(viewer) == ""
    assert dock.bar.run.isEnabled() and not dock.bar.cancel.isEnabled()


def test_a_cancelled_run_on_disk_goes_on(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
) -> None:
    viewer.add_image(tissue(12, 160), name="stack")
    dock = open_dock(viewer)
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    type_into(qtbot, dock.output.path_box.line_edit.native, str(tmp_path / "result.zarr"))
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)
    assert list(tmp_path.glob(".result*"))
    # slices are seen while the file grows
    layer = viewer.layers[1]
    qtbot.waitUntil(lambda: (layer_marks(layer).computed or 0) > 1, timeout=TIMEOUT)
    assert np.asarray(layer.data[0][1]).std() > 1
    click(qtbot, dock.bar.cancel)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Cancelled"), timeout=TIMEOUT)
    assert len(viewer.layers) == 1 and not (tmp_path / "result.zarr").exists()
    assert "goes on" in dock.bar.status.text()
    done = marks(tmp_path / "result.zarr")
    assert 0 < done < 12
    # with other settings it does not, and the message names a control that the dock has
    dock.model.model_box.value = "mean"
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: "other settings" in dock.bar.status.text(), timeout=TIMEOUT)
    assert f'"{dock.output.restart_box.text}"' in dock.bar.status.text()
    assert marks(tmp_path / "result.zarr") == done
    click(qtbot, dock.output.restart_box.native)
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=TIMEOUT)
    assert not dock.output.policy.restart
    assert [path.name for path in tmp_path.iterdir() if "result" in path.name] == ["result.zarr"]


def test_result_layer_deleted_in_mid_run(qtbot: Any, viewer: Any) -> None:
    dock = begin_long_run(qtbot, viewer)
    viewer.layers.remove(viewer.layers[1])
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Cancelled"), timeout=TIMEOUT)
    assert len(viewer.layers) == 1 and dock.bar.run.isEnabled()


def test_source_layer_deleted_in_mid_run(qtbot: Any, viewer: Any) -> None:
    dock = begin_long_run(qtbot, viewer)
    viewer.layers.remove("stack")
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=3 * TIMEOUT)
    (layer,) = viewer.layers
    assert len(layer_marks(layer).synthetic) == 11 and layer.data[-2].std() > 1


def test_dock_closed_in_mid_run(qtbot: Any, viewer: Any) -> None:
    dock = begin_long_run(qtbot, viewer)
    queue = dock._queue
    viewer.window.remove_dock_widget(dock)
    del dock
    qtbot.waitUntil(lambda: not queue.busy, timeout=TIMEOUT)


def test_viewer_closed_in_mid_run(qtbot: Any, viewer: Any) -> None:
    dock = begin_long_run(qtbot, viewer)
    queue = dock._queue
    del dock
    viewer.close()
    qtbot.waitUntil(lambda: not queue.busy, timeout=TIMEOUT)
