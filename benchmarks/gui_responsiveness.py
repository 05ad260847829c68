"""How a run feels in the viewer, and what the viewer costs the run.

    python benchmarks/gui_responsiveness.py [--side 512] [--slices 13] [--rounds 3]

A napari window interpolates a generated stack while a timer measures how late Qt's event loop gets
to it: 95th percentile and longest, beside those of an idle window. The same stack is interpolated
by the command line; its speed is taken from two runs of different length, so that starting up and
importing do not count. The ratio of both throughputs is printed. Needs a screen; without one:

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/gui_responsiveness.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TICK = 10  # milliseconds
_COMMAND = "from tsain_core.cli import command; command()"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512, help="of a slice in pixels")
    parser.add_argument("--slices", type=int, default=13)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    from tsain_core.sample_data.phantom import em_phantom

    stack = em_phantom((args.slices, args.side, args.side))
    viewer, dock = open_viewer(stack)
    idle: list[float] = []
    started = time.perf_counter()
    measure(idle, lambda: time.perf_counter() - started > 3)
    busy: list[float] = []
    plain, viewed = [], []
    for _ in range(args.rounds):
        plain.append(command_line_rate(stack))
        viewed.append(viewer_rate(dock, busy))
        viewer.layers.remove(viewer.layers[-1])
    viewer.close()
    print(f"stack {args.slices} x {args.side} x {args.side}, tsain-lite, factor 2")
    for name, late in (("idle window", idle), ("during the runs", busy)):
        print(
            f"event loop, {name:<15} 95 % within {np.percentile(late, 95):6.1f} ms, "
            f"longest {max(late):6.1f} ms, {len(late)} samples"
        )
    for name, rates in (("command line", plain), ("in the viewer", viewed)):
        print(f"{name:<14}{', '.join(f'{rate:.2f}' for rate in rates)} slices/s")
    print(f"ratio of the medians {np.median(viewed) / np.median(plain):.2f}")


def command_line_rate(stack: Any) -> float:
    """Slices per second of `tsain interpolate`, from runs of different length."""
    from tsain_core.volumes import create_volume

    seconds = []
    lengths = (2, len(stack))
    with tempfile.TemporaryDirectory() as folder:
        for length in lengths:
            path = Path(folder) / f"{length}.tif"
            with create_volume(path, (length, *stack.shape[1:]), stack.dtype) as writer:
                for z in range(length):
                    writer.write(z, stack[z])
            out = Path(folder) / f"{length}.zarr"
            command = [sys.executable, "-c", _COMMAND, "interpolate", str(path), str(out)]
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
    return (lengths[1] - lengths[0]) / (seconds[1] - seconds[0])


def open_viewer(stack: Any) -> tuple[Any, Any]:
    """A viewer with the stack, and the dock, when its model is open and its code compiled."""
    import napari

    from napari_tsain.interpolation import InterpolateSlices

    viewer = napari.Viewer()
    viewer.add_image(stack, name="phantom", contrast_limits=(0, 255))
    dock = InterpolateSlices(viewer)
    dock.finish_loading()
    viewer.window.add_dock_widget(dock, name="Interpolate slices")
    wait(lambda: bool(dock.bar.estimate.text()), 120)
    return viewer, dock


def viewer_rate(dock: Any, late: list[float]) -> float:
    """Slices per second of a run in the viewer; `late` collects how late Qt comes, in ms."""
    times: list[tuple[float, float]] = []
    show = type(dock.bar).show_progress

    def note(progress: Any) -> None:
        times.append((time.perf_counter(), progress.done))
        show(dock.bar, progress)

    dock.bar.show_progress = note
    dock.bar.status.setText("")
    dock.bar.run.click()
    measure(late, lambda: dock.bar.status.text().startswith("Done"))
    (t0, n0), (t1, n1) = times[0], times[-1]
    return (n1 - n0) / (t1 - t0)


def measure(late: list[float], until: Callable[[], bool]) -> None:
    """Collect how late a timer comes, in ms, until something holds."""
    from qtpy.QtCore import Qt, QTimer

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(TICK)
    last = time.perf_counter()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        late.append(max(0.0, 1000 * (now - last) - TICK))
        last = now

    timer.timeout.connect(tick)
    timer.start()
    wait(until, 600)
    timer.stop()


def wait(until: Callable[[], bool], seconds: float) -> None:
    """Let Qt work until something holds."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    poll = QTimer()
    poll.setInterval(50)
    end = time.perf_counter() + seconds
    poll.timeout.connect(lambda: loop.quit() if until() or time.perf_counter() > end else None)
    poll.start()
    loop.exec()
    if not until():
        raise SystemExit("Nothing happened for too long.")


if __name__ == "__main__":
    main()
