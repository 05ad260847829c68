"""Runs on a Dask cluster from the dock "Interpolate slices", with real clusters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication

from napari_tsain.layers.provenance import layer_marks
from support.gui import add_dock, click, tissue, type_into


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs of runs go to a folder of the test."""
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of a cluster of one process."""
    distributed = pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


def dock_for(qtbot: Any, viewer: Any, folder: Path, scheduler: str) -> Any:
    """The dock, set to compute a stack from a file on a cluster."""
    tifffile.imwrite(folder / "stack.tif", tissue(5, 64))
    viewer.open(str(folder / "stack.tif"), plugin="napari")
    dock = add_dock(viewer, "Interpolate slices")
    QApplication.processEvents()
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    dock.output.path_box.value = folder / "result.zarr"
    type_into(qtbot, dock.output.cluster_box.native, scheduler)
    return dock


@pytest.mark.slow
def test_result_becomes_a_layer(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    scheduler: str,
) -> None:
    dock = dock_for(qtbot, viewer, tmp_path, scheduler)
    (source,) = viewer.layers
    assert f"--dask {scheduler}" in dock.command_line()
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=120_000)
    result = viewer.layers[-1]
    assert result.name.startswith(source.name) and result.data.shape[0] == 2 * len(source.data) - 1
    np.testing.assert_array_equal(np.asarray(result.data[::2]), np.asarray(source.data))
    assert layer_marks(result).synthetic == tuple(range(1, result.data.shape[0], 2))
    assert layer_marks(result).parents


@pytest.mark.slow
def test_run_outlives_the_dock(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
    scheduler: str,
) -> None:
    dock = dock_for(qtbot, viewer, tmp_path, scheduler)
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: "slices/s" in dock.bar.status.text(), timeout=60_000)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: (tmp_path / "result.zarr").exists(), timeout=120_000)


def test_unreachable_cluster_says_so(
    qtbot: Any, viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    monkeypatch.setattr("tsain_core.blockwise.executors._CONNECT", 1.0)
    dock = dock_for(qtbot, viewer, tmp_path, "nowhere:1")
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: "cannot be reached" in dock.bar.status.text(), timeout=120_000)
    assert not (tmp_path / "result.zarr").exists()
