"""Runs on a Dask cluster from the dock "Interpolate slices", with real clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gui import (  # noqa: F401
    add_dock,
    click,
    layers_go_safely,
    own_settings,
    plugin_known,
    tissue,
    type_into,
    viewer,
)
from qtpy.QtWidgets import QApplication

from napari_tsain._marks import layer_marks


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs of runs go to a folder of the test."""
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))


def open_dock(viewer: Any) -> Any:  # noqa: F811
    dock = add_dock(viewer, "Interpolate slices")
    QApplication.processEvents()
    return dock


@pytest.mark.slow
def test_on_a_dask_cluster(qtbot: Any, viewer: Any, tmp_path: Path) -> None:  # noqa: F811
    """A scheduler's address in the dock: computed there, opened here when it is done."""
    distributed = pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    source = add_stack_from_file(viewer, tmp_path)
    dock = open_dock(viewer)
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    dock.output.path_box.value = tmp_path / "result.zarr"
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address=":0"
    ) as cluster:
        type_into(qtbot, dock.output.cluster_box.native, cluster.scheduler_address)
        assert f"--dask {cluster.scheduler_address}" in dock.command_line()
        click(qtbot, dock.bar.run)
        qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=120_000)
    result = viewer.layers[-1]
    assert result.name.startswith(source.name) and result.data.shape[0] == 2 * len(source.data) - 1
    np.testing.assert_array_equal(np.asarray(result.data[::2]), np.asarray(source.data))
    assert layer_marks(result).synthetic == tuple(range(1, result.data.shape[0], 2))
    assert layer_marks(result).parents


@pytest.mark.slow
def test_cluster_run_outlives_the_dock(
    qtbot: Any,
    viewer: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    add_stack_from_file(viewer, tmp_path)
    dock = open_dock(viewer)
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    dock.output.path_box.value = tmp_path / "result.zarr"
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address=":0"
    ) as cluster:
        type_into(qtbot, dock.output.cluster_box.native, cluster.scheduler_address)
        click(qtbot, dock.bar.run)
        qtbot.waitUntil(lambda: "slices/s" in dock.bar.status.text(), timeout=60_000)
        viewer.window.remove_dock_widget(dock)
        qtbot.waitUntil(lambda: (tmp_path / "result.zarr").exists(), timeout=120_000)


def test_unreachable_cluster_says_so(qtbot: Any, viewer: Any, tmp_path: Path) -> None:  # noqa: F811
    pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    add_stack_from_file(viewer, tmp_path)
    dock = open_dock(viewer)
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    dock.output.path_box.value = tmp_path / "result.zarr"
    type_into(qtbot, dock.output.cluster_box.native, "nowhere:1")
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: "cannot be reached" in dock.bar.status.text(), timeout=120_000)
    assert not (tmp_path / "result.zarr").exists()


def add_stack_from_file(viewer: Any, folder: Path) -> Any:  # noqa: F811
    """A stack that was read from a file, as a command needs it."""
    import tifffile

    tifffile.imwrite(folder / "stack.tif", tissue(5, 64))
    (layer,) = viewer.open(str(folder / "stack.tif"), plugin="napari")
    return layer
