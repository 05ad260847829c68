"""First opening of a dock: the window does not stand still while libraries are imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QLabel, QWidget

from napari_tsain.widgets import loading as _loading
from napari_tsain.widgets.loading import LoadingDock
from support import REPOSITORY
from support.gui import add_dock

#: Opens a dock in a fresh process, and prints how the window fared.
SCRIPT = """
import json, sys, time
import napari, numpy as np
from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QProgressBar

manager = PluginManager.instance()
if "napari-tsain" not in manager:
    manager.register(PluginManifest.from_file(sys.argv[1]))
viewer = napari.Viewer()
viewer.add_image(np.zeros((12, 64, 64), np.uint8), name="stack")
app = QApplication.instance()
for _ in range(100):
    app.processEvents()
    time.sleep(0.01)
gaps, last = [], time.perf_counter()

def tick():
    global last
    now = time.perf_counter()
    gaps.append(now - last)
    last = now

timer = QTimer()
timer.setInterval(5)
timer.timeout.connect(tick)
timer.start()
start = last
_, dock = viewer.window.add_plugin_dock_widget("napari-tsain", sys.argv[2])
app.processEvents()
told = {"torch": "torch" in sys.modules, "sign": dock.findChild(QProgressBar) is not None}
while not dock.loaded and time.perf_counter() - start < 240:
    app.processEvents()
    time.sleep(0.002)
told |= {"loaded": dock.loaded, "seconds": last - start, "block": max(gaps)}
app.processEvents()
told["controls"] = hasattr(dock, "source") and dock.source.isVisible()
print(json.dumps(told))
viewer.close()
"""


@pytest.mark.parametrize("name", ["Sampling offsets", "Fine-tune interpolation"])
def test_the_window_goes_on_while_libraries_load(name: str, tmp_path: Path) -> None:
    pytest.importorskip("pytest_xvfb")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(REPOSITORY / "napari.yaml"), name],
        capture_output=True,
        text=True,
        env={**os.environ, "TSAIN_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert not told["torch"] and told["sign"]  # there at once, with a sign
    assert told["loaded"] and told["controls"]
    assert told["block"] < max(0.5, told["seconds"] / 3)


class Broken(LoadingDock):
    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "no_such_module_at_all", "Panel")


def test_libraries_that_are_missing_are_told(
    qtbot: Any,
    viewer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Exception] = []

    def notify(error: Exception) -> str:
        told.append(error)
        return str(error)

    monkeypatch.setattr(_loading, "notify_error", notify)
    dock = Broken(viewer)
    viewer.window.add_dock_widget(dock, name="broken")
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    assert any("no_such_module_at_all" in label.text() for label in dock.findChildren(QLabel))
    assert not dock.loaded
    with pytest.raises(AttributeError):
        dock.source  # noqa: B018


def test_docks_are_the_panels_to_those_who_use_them(viewer: Any) -> None:
    dock = add_dock(viewer, "Sampling offsets")
    assert dock.loaded and isinstance(dock.source, QWidget)
    assert dock.finish_loading() is dock.finish_loading()
    with pytest.raises(AttributeError):
        dock.nothing  # noqa: B018
