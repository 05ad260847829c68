"""Saving results from the dock "Interpolate slices", also in the middle of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from napari_tsain.layers.provenance import layer_marks
from support.gui import click, tissue
from support.interpolation_dock import PLACED, TIMEOUT, begin_long_run, open_dock, run_and_wait
from tsain_core.volumes import open_volume


@pytest.mark.parametrize("ending", [".zarr", ".h5", ".ome.tif"])
def test_save_result(qtbot: Any, viewer: Any, tmp_path: Path, ending: str) -> None:
    viewer.add_image(tissue(4, 64), name="stack", **PLACED)
    dock = open_dock(viewer)
    assert not dock.bar.save.isEnabled() and "Run" in dock.bar.save.toolTip()
    layer = run_and_wait(qtbot, viewer, dock)
    assert dock.bar.save.isEnabled()
    target = tmp_path / f"result{ending}"
    dock.saver.save(dock.saver.layer, target)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Saved"), timeout=TIMEOUT)
    volume = open_volume(target)
    np.testing.assert_array_equal(np.asarray(volume.data), layer.data)
    assert volume.synthetic == (1, 3, 5) and volume.voxel_size == (20, 4, 4)
    assert volume.unit == "nanometer" and volume.offset == (100, 20, 30)
    assert volume.provenance["model"] == "tsain-lite"
    assert dock.bar.run.isEnabled() and not dock.bar.progress.isVisible()


def test_the_dialog_proposes_ome_zarr(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer.add_image(tissue(4, 64), name="my stack", **PLACED)
    dock = open_dock(viewer)
    dock.model.model_box.value = "mean"
    run_and_wait(qtbot, viewer, dock)
    seen: list[str] = []

    def answer(_: Any, *words: str) -> tuple[str, str]:
        """The desktop's own dialog, which no test can reach."""
        seen.extend(words)
        return str(tmp_path / "named"), words[2].split(";;")[0]

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    click(qtbot, dock.bar.save)
    assert seen[1] == "my_stack_x2__mean.zarr" and seen[2].startswith("OME-Zarr (*.zarr);;")
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Saved"), timeout=TIMEOUT)
    assert open_volume(tmp_path / "named.zarr").synthetic == (1, 3, 5)


def test_saving_where_nothing_can_be_written(qtbot: Any, viewer: Any, tmp_path: Path) -> None:
    viewer.add_image(tissue(4, 64), name="stack", metadata={"tsain": {"synthetic_slices": [1]}})
    dock = open_dock(viewer)
    dock.saver.save(dock.saver.layer, tmp_path / "none" / "a.zarr")
    assert "does not exist" in dock.bar.status.text() and not (tmp_path / "none").exists()


def test_saved_in_mid_run_only_what_is_there(qtbot: Any, viewer: Any, tmp_path: Path) -> None:
    dock = begin_long_run(qtbot, viewer)
    layer = viewer.layers[1]
    depth = len(layer.data)
    assert depth < 23 and all(image.std() > 1 for image in layer.data)
    assert not dock.bar.save.isEnabled() and "run" in dock.bar.save.toolTip()
    layer.save(str(tmp_path / "ours.h5"), plugin="napari-tsain")
    layer.save(str(tmp_path / "napari.tif"), plugin="napari")
    ours = open_volume(tmp_path / "ours.h5")
    assert ours.synthetic == tuple(z for z in range(depth) if z % 2)
    for saved in (np.asarray(ours.data), tifffile.imread(tmp_path / "napari.tif")):
        assert len(saved) == depth and all(image.std() > 1 for image in saved)
    click(qtbot, dock.bar.cancel)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Cancelled"), timeout=TIMEOUT)


def test_a_closed_dock_takes_its_unfinished_layers_along(qtbot: Any, viewer: Any) -> None:
    dock = begin_long_run(qtbot, viewer)
    queue = dock._queue
    viewer.window.remove_dock_widget(dock)
    assert [layer.name for layer in viewer.layers] == ["stack"]
    del dock
    qtbot.waitUntil(lambda: not queue.busy, timeout=TIMEOUT)

    dock = open_dock(viewer)
    click(qtbot, dock.preview_bar.button)
    qtbot.waitUntil(lambda: "Preview" in viewer.layers, timeout=TIMEOUT)
    viewer.window.remove_dock_widget(dock)
    assert [layer.name for layer in viewer.layers] == ["stack"]


def test_a_run_on_disk_can_be_saved_in_mid_run_too(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
) -> None:
    viewer.add_image(tissue(12, 256), name="stack", **PLACED)
    dock = open_dock(viewer)
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    dock.output.path_box.value = tmp_path / "result.zarr"
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=TIMEOUT)
    layer = viewer.layers[1]
    qtbot.waitUntil(lambda: (layer_marks(layer).computed or 0) > 1, timeout=TIMEOUT)
    layer.save(str(tmp_path / "part.h5"), plugin="napari-tsain")
    saved = np.asarray(open_volume(tmp_path / "part.h5").data)
    assert len(saved) < 23 and all(image.std() > 1 for image in saved)
    click(qtbot, dock.bar.cancel)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Cancelled"), timeout=TIMEOUT)
