"""A run of the dock to an OME-Zarr, whose process is killed: dock and command go on with it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from support import REPOSITORY
from support.blockwise import files, launch, marks, wait_for
from support.gui import add_dock, click, tissue
from support.interpolation_dock import TIMEOUT
from tsain_core.cli import main
from tsain_core.volumes import open_volume

# napari in a process of its own, set to write to a file; it says which command does the same
_DOCK = """
import sys
from pathlib import Path
import napari
from npe2 import PluginManager, PluginManifest

source, output, manifest = sys.argv[1:]
PluginManager.instance().register(PluginManifest.from_file(manifest))
viewer = napari.Viewer()
viewer.open(source, plugin="napari-tsain")
_, dock = viewer.window.add_plugin_dock_widget("napari-tsain", "Interpolate slices")
dock.finish_loading()
dock.model.model_box.value = "tsain-lite"
dock.output.where.choose("OME-Zarr on disk")
dock.output.path_box.value = Path(output)
print(dock.command_line(), flush=True)
dock.bar.run.click()
napari.run()
"""


def set_up(qtbot: Any, viewer: Any, source: Path, output: Path) -> Any:
    """The dock, set as in the other process."""
    viewer.open(str(source), plugin="napari-tsain")
    dock = add_dock(viewer, "Interpolate slices")
    dock.finish_loading()
    dock.model.model_box.value = "tsain-lite"
    dock.output.where.choose("OME-Zarr on disk")
    dock.output.path_box.value = output
    qtbot.waitUntil(dock.bar.run.isVisible, timeout=TIMEOUT)
    return dock


def times(root: Path) -> dict[str, int]:
    """When each file of the finest level was written."""
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in (root / "0").rglob("*/*")}


def content(output: Path) -> dict[str, object]:
    """Metadata as they are, voxels by value: with vispy loaded Blosc's zstd writes other bytes."""
    metadata = {n: text for n, text in files(output).items() if Path(n).name.startswith("z")}
    assert "zarr.json" in metadata
    return {**metadata, "voxels": np.asarray(open_volume(output).data).tobytes()}


@pytest.mark.slow
def test_killed_dock_goes_on_from_dock_and_command(
    qtbot: Any,
    viewer: Any,
    tmp_path: Path,
) -> None:
    source = tmp_path / "stack.ome.tif"
    tifffile.imwrite(source, tissue(9, 128), metadata={"axes": "ZYX"})
    killed, copied, whole = (tmp_path / name / "result.zarr" for name in ("a", "b", "c"))
    for path in (killed, whole):
        path.parent.mkdir()
    manifest = REPOSITORY / "napari.yaml"
    process = launch("-c", _DOCK, source, killed, manifest)
    assert process.stdout is not None
    try:
        wait_for(lambda: marks(killed) >= 3, "some blocks")
    finally:
        process.kill()
        process.wait()
    said = process.stdout.read()
    done = marks(killed)
    assert 3 <= done < 9 and not killed.exists(), said
    shutil.copytree(killed.parent, copied.parent)
    line = next(line for line in said.splitlines() if line.startswith("tsain interpolate"))

    # the command that the dock copied
    kept = times(copied.with_name(".result.zarr.unfinished.zarr"))
    words = [str(copied) if w == str(killed) else w for w in shlex.split(line)[1:]]
    assert main(words) == 0
    assert sum(times(copied)[name] == time for name, time in kept.items()) >= done

    # the dock itself
    dock = set_up(qtbot, viewer, source, killed)
    assert dock.command_line() == line
    kept = times(killed.with_name(".result.zarr.unfinished.zarr"))
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: dock.bar.status.text().startswith("Done"), timeout=2 * TIMEOUT)
    assert sum(times(killed)[name] == time for name, time in kept.items()) >= done
    assert len(viewer.layers) == 2 and viewer.layers[1].data.shape[0] == 17

    # and a run that nothing interrupted
    assert main([str(whole) if w == str(killed) else w for w in shlex.split(line)[1:]]) == 0
    assert content(killed) == content(copied) == content(whole)
    np.testing.assert_array_equal(open_volume(whole).data[::2], tissue(9, 128))
