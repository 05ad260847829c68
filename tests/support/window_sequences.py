"""Sequences of a user's actions in a napari window, as a process of its own.

    cd tests; python -m support.window_sequences NAME TIMES   # or "all", one after another

With software OpenGL (Mesa, as on VNC and virtual machines), windows have crashed in them.
"""

from __future__ import annotations

import faulthandler
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication

from support.gui import tissue

SIZE = (1100, 700)


def main(names: list[str], times: int) -> None:
    """Go through each sequence so many times."""
    faulthandler.enable()
    folder = tempfile.mkdtemp()
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
    for name in names:
        go_through(name, times)


def go_through(name: str, times: int) -> None:
    """Open a window, go through a sequence, and close it."""
    import napari

    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(*SIZE)
    dock = new_dock(viewer)
    new_stack(viewer)
    for turn in range(times):
        viewer.dims.set_current_step(0, turn % 5)
        dock.preview_bar.button.click()
        wait(lambda: "Preview" in viewer.layers)
        pause(0.1)
        dock = SEQUENCES[name](viewer, dock) or dock
        resize(viewer, turn)
    print("survived", name, flush=True)
    queue = dock._queue
    viewer.close()
    wait(lambda: not queue.busy)  # as napari does when it quits
    pause(0.3)


def run(viewer: Any, dock: Any) -> None:
    """Preview on, Run, resize; then the result goes."""
    dock.bar.run.click()
    resize(viewer, 0)
    wait(lambda: dock.bar.status.text().startswith("Done"))
    resize(viewer, 1)
    viewer.layers.remove(viewer.layers[-1])


def cancel(viewer: Any, dock: Any) -> None:
    """A run is cancelled."""
    dock.bar.run.click()
    resize(viewer, 0)
    wait(lambda: len(viewer.layers) > 1 and viewer.layers[-1].name != "Preview")
    dock.bar.cancel.click()
    wait(lambda: dock.bar.status.text().startswith("Cancelled"))


def switch_off(viewer: Any, dock: Any) -> None:
    """The preview is switched off."""
    dock.preview_bar.button.click()


def remove(viewer: Any, dock: Any) -> None:
    """The preview's layer is removed by hand, right after the notice changed."""
    viewer.dims.set_current_step(0, 3)
    viewer.layers.remove("Preview")


def remove_all(viewer: Any, dock: Any) -> None:
    """All layers go."""
    viewer.layers.clear()
    resize(viewer, 2)
    new_stack(viewer)


def close_in_run(viewer: Any, dock: Any) -> Any:
    """The dock is closed while it runs, and opened again."""
    dock.bar.run.click()
    wait(lambda: len(viewer.layers) > 1 and viewer.layers[-1].name != "Preview")
    viewer.window.remove_dock_widget(dock)
    resize(viewer, 0)
    pause(0.3)
    assert [layer.name for layer in viewer.layers] == ["stack"]
    return new_dock(viewer)


SEQUENCES: dict[str, Callable[[Any, Any], Any]] = {
    f.__name__: f for f in (run, cancel, switch_off, remove, remove_all, close_in_run)
}


def new_dock(viewer: Any) -> Any:
    """Open the dock, and wait for its controls."""
    from napari_tsain.interpolation import InterpolateSlices

    dock = InterpolateSlices(viewer)
    viewer.window.add_dock_widget(dock, name="Interpolate slices", area="right")
    wait(lambda: dock.loaded)
    pause(0.2)
    return dock


def new_stack(viewer: Any) -> None:
    """Add a stack that takes a second to interpolate."""
    viewer.add_image(tissue(6, 160), name="stack", scale=(40, 4, 4))
    pause(0.2)


def resize(viewer: Any, turn: int) -> None:
    """Resize the window a few times."""
    for i in range(4):
        viewer.window.resize(SIZE[0] - 40 * ((i + turn) % 4), SIZE[1] - 20 * ((i + turn) % 3))
        QApplication.processEvents()


def pause(seconds: float) -> None:
    """Let Qt work for a while."""
    end = time.perf_counter() + seconds
    wait(lambda: time.perf_counter() > end)


def wait(until: Callable[[], bool], seconds: float = 300) -> None:
    """Let Qt work until something holds."""
    end = time.perf_counter() + seconds
    while not until():
        if time.perf_counter() > end:
            raise SystemExit("Nothing happened for too long.")
        QApplication.processEvents()
        time.sleep(0.003)


if __name__ == "__main__":
    chosen = sorted(SEQUENCES) if sys.argv[1] == "all" else [sys.argv[1]]
    main(chosen, int(sys.argv[2]))
