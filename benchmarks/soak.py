"""Random actions in a napari window for a while: memory, threads and open files must stay flat.

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/soak.py --minutes 30 --seed 0
    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/soak.py --minutes 5 --only napari

Stacks come and go, docks are opened and closed, slices are computed, cancelled and shown, by a
seed; `--only` takes some of these: `napari` those that need no dock, or names of methods. After
each round the window is emptied and what the process holds is measured. A line per round, then how
much each grew for a round, from a straight line through the second half. An
exception in a slot of Qt ends the run with exit code 1, and the actions that led to it.

Measured with napari 0.9.2 and PyQt6, 30 minutes of seed 0 on two cores that ran the test suite
beside it: 9,400 actions, no exception; 262 widgets after every round, 12 to 16 files, 9 to 13
threads, and 0.43 MiB more a round of 25 actions (1,195 MiB in the seventh, 1,358 in the last).
Later and shorter: 0.42 and 0.21 MiB a round by `--only napari`, without docks (25 and 23 rounds,
403 to 414 and 412 to 421 MiB); 0.26 by `--only open_dock close_dock` (55 rounds, 962 to 975 MiB).
napari alone grows, then, and docks may as well; these runs are too short to say how much is whose.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from qtpy.QtCore import QEvent, QSettings
from qtpy.QtWidgets import QApplication

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from napari_tsain.layers.canvas import remove_layers_safely
from napari_tsain.layers.view import camera_of
from support.gui import tissue
from support.window_sequences import pause, resize, wait

_ACTIONS_A_ROUND = 25
_DOCKS = ("interpolation", "offsets", "finetuning")


class Soak:
    """A window, and what can be done in it."""

    def __init__(self, seed: int, only: Sequence[str] = ()) -> None:
        import napari

        self.dice = random.Random(seed)
        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.window.resize(1280, 760)
        remove_layers_safely(self.viewer)  # as docks do; napari alone crashes with software OpenGL
        self.docks: dict[str, Any] = {}
        self.told: list[str] = []
        self.faults: list[str] = []
        by_napari = [
            *[self.add_stack, self.remove_layer, self.rename, self.rescale, self.replace_data],
            *[self.move, self.move, self.zoom, self.roll, self.show_3d, self.resize],
        ]
        by_docks = [
            *[self.open_dock, self.close_dock, self.preview, self.compare, self.run, self.cancel],
            *[self.choose_model, self.choose_factor, self.pick, self.damaged],
        ]
        kinds: dict[str, list[Callable[[], None]]] = {"napari": by_napari}
        kinds |= {action.__name__: [action] for action in by_napari + by_docks}
        chosen = [action for name in only for action in kinds[name]]
        self._actions: list[Callable[[], None]] = chosen or by_napari + by_docks

    def round(self) -> None:
        """Some actions, then an empty window."""
        for _ in range(_ACTIONS_A_ROUND):
            action = self.dice.choice(self._actions)
            self.told.append(action.__name__)
            action()
            pause(self.dice.choice((0.0, 0.02, 0.2)))
            if self.faults:
                raise SystemExit(f"{self.faults[0]}\nafter {self.told[-40:]}")
        self.empty()

    def empty(self) -> None:
        """Close the docks, remove the layers, let everything end."""
        queues = [dock._queue for dock in self.docks.values() if hasattr(dock, "_queue")]
        for name in list(self.docks):
            self._close(name)
        self.viewer.dims.ndisplay = 2
        self.viewer.layers.clear()
        wait(lambda: not any(queue.busy for queue in queues))
        pause(0.5)
        # no event loop runs below this script, so Qt has to be told to delete what it put off
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()

    # Layers

    def add_stack(self) -> None:
        data = tissue(self.dice.choice((3, 5, 7)), self.dice.choice((48, 96)))
        self.viewer.add_image(data, name="stack", scale=(40, 4, 4), units="nanometer")

    def remove_layer(self) -> None:
        if self.viewer.layers:
            self.viewer.layers.remove(self.dice.choice(list(self.viewer.layers)))

    def rename(self) -> None:
        if self.viewer.layers:
            self.dice.choice(list(self.viewer.layers)).name = f"layer {self.dice.randrange(9)}"

    def rescale(self) -> None:
        for layer in self._images()[:1]:
            layer.scale = (self.dice.choice((20, 40, 50)), *layer.scale[1:])

    def replace_data(self) -> None:
        for layer in self._images()[:1]:
            layer.data = np.ascontiguousarray(layer.data[:, ::-1])

    def _images(self) -> list[Any]:
        return [layer for layer in self.viewer.layers if layer.name == "stack"]

    # Docks

    def open_dock(self) -> None:
        name = self.dice.choice(_DOCKS)
        if name in self.docks:
            return
        from napari_tsain.finetuning import FineTune
        from napari_tsain.interpolation import InterpolateSlices
        from napari_tsain.offsets import SamplingOffsets

        kinds = dict(zip(_DOCKS, (InterpolateSlices, SamplingOffsets, FineTune), strict=True))
        dock = kinds[name](self.viewer)
        self.viewer.window.add_dock_widget(dock, name=name, area="right")
        wait(lambda: dock.loaded)
        self.docks[name] = dock

    def close_dock(self) -> None:
        if self.docks:
            self._close(self.dice.choice(sorted(self.docks)))

    def _close(self, name: str) -> None:
        self.viewer.window.remove_dock_widget(self.docks.pop(name))

    def _click(self, name: str, *path: str) -> None:
        """Press a button of a dock, if both are there."""
        control = self.docks.get(name)
        for part in path:
            control = getattr(control, part, None)
        if control is not None and control.isEnabled():
            control.click()

    def preview(self) -> None:
        self._click("interpolation", "preview_bar", "button")

    def compare(self) -> None:
        if dock := self.docks.get("interpolation"):
            button = self.dice.choice(list(dock.preview_bar.compare.buttons.values()))
            if button.isEnabled():
                button.click()

    def run(self) -> None:
        self._click("interpolation", "bar", "run")

    def cancel(self) -> None:
        self._click("interpolation", "bar", "cancel")

    def choose_model(self) -> None:
        if dock := self.docks.get("interpolation"):
            dock.model.model_box.value = self.dice.choice(("mean", "tsain-lite"))

    def choose_factor(self) -> None:
        if dock := self.docks.get("interpolation"):
            dock.selection.factor.setCurrentIndex(self.dice.randrange(3))

    def damaged(self) -> None:
        if dock := self.docks.get("interpolation"):
            self.dice.choice(list(dock.selection.mode_box.buttons.values())).click()

    def pick(self) -> None:
        self._click("offsets", "query", "pick")

    # View

    def move(self) -> None:
        dims = self.viewer.dims
        if dims.ndim > 2:
            dims.set_current_step(0, self.dice.randrange(max(1, dims.nsteps[0])))

    def zoom(self) -> None:
        camera = camera_of(self.viewer)
        camera.zoom *= self.dice.choice((0.5, 2.0))

    def roll(self) -> None:
        self.viewer.dims.roll()

    def show_3d(self) -> None:
        self.viewer.dims.ndisplay = 3 if self.viewer.dims.ndisplay == 2 else 2

    def resize(self) -> None:
        resize(self.viewer, self.dice.randrange(4))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=(), metavar="ACTION")
    options = parser.parse_args()
    faulthandler.enable()
    QSettings.setPath(
        QSettings.Format.IniFormat, QSettings.Scope.UserScope, tempfile.mkdtemp(prefix="soak-")
    )
    soak = Soak(options.seed, options.only)
    sys.excepthook = lambda *error: soak.faults.append("".join(traceback.format_exception(*error)))
    process = psutil.Process()
    rows: list[tuple[float, int, int, int]] = []
    end = time.monotonic() + 60 * options.minutes
    print("round    MiB  threads  files  widgets", flush=True)
    while time.monotonic() < end or len(rows) < 4:
        soak.round()
        memory = process.memory_info().rss / 2**20
        widgets = len(QApplication.allWidgets())
        rows.append((memory, process.num_threads(), process.num_fds(), widgets))
        print("{:5d} {:6.0f} {:8d} {:6d} {:8d}".format(len(rows), *rows[-1]), flush=True)
    later = np.array(rows[len(rows) // 2 :], float)
    growth = np.polyfit(np.arange(len(later)), later, 1)[0]
    print(
        "growth per round: {:.2f} MiB, {:.2f} threads, {:.2f} files, {:.2f} widgets".format(*growth)
    )
    print(f"{len(soak.told)} actions of seed {options.seed}")
    soak.viewer.close()


if __name__ == "__main__":
    main()
