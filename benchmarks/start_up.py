"""How long a user waits for what starts: the command, the package, and each dock.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/start_up.py [--rounds 5]

Each is started in a process of its own; the table has the median and the longest. For docks a
napari window is open already: `sign` is the time until the dock is there, saying that it loads,
`controls` until its controls are, and `frozen` the longest time in between, and in the second after
it, that the window did not answer. Without a screen only the command and the package are measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

DOCKS = ("Interpolate slices", "Sampling offsets", "Fine-tune interpolation")
_COMMANDS = {
    "tsain --help": "import sys; sys.argv = ['tsain', '--help']; "
    "from tsain_core.cli import command; command()",
    "import tsain_core": "import tsain_core",
    "nothing (Python itself)": "pass",
}
_SETTLING, _LONGEST, _TICK = 1.0, 60.0, 5  # seconds, seconds, milliseconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dock", help=argparse.SUPPRESS)  # in the process of its own
    args = parser.parse_args()
    if args.dock:
        print(*open_dock(args.dock))
        return
    import torch
    from common import hardware, print_head

    print(hardware(torch.device("cpu")) + "\n")
    print_head("what", "median s", "longest s")
    for name, code in _COMMANDS.items():
        _print(name, [_seconds(code) for _ in range(args.rounds)])
    if not os.environ.get("DISPLAY") and sys.platform == "linux":
        return
    for dock in DOCKS:
        rounds = [_run_dock(dock) for _ in range(args.rounds)]
        for what, seconds in zip(
            ("sign", "controls", "frozen"), zip(*rounds, strict=True), strict=True
        ):
            _print(f"{dock}: {what}", seconds)


def _print(name: str, seconds: Sequence[float]) -> None:
    from common import print_row  # not in the docks' processes: it imports torch

    print_row(name, f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}")


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _run_dock(dock: str) -> list[float]:
    command = [sys.executable, __file__, "--dock", dock]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(word) for word in found.stdout.split()[-3:]]


def open_dock(dock: str) -> tuple[float, float, float]:
    """Seconds until a dock's sign and its controls are there, and the longest freeze meanwhile."""
    import napari
    from qtpy.QtCore import QTimer

    viewer = napari.Viewer()
    _process(lambda: False, 2.0)
    ticks: list[float] = []
    timer = QTimer()
    timer.setInterval(_TICK)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    start = time.perf_counter()
    _, widget = viewer.window.add_plugin_dock_widget("napari-tsain", dock)
    sign = time.perf_counter() - start
    timer.start()
    ticks.append(time.perf_counter())
    _process(lambda: widget.loaded, _LONGEST)
    controls = time.perf_counter() - start
    _process(lambda: False, _SETTLING)
    frozen = max(b - a for a, b in zip(ticks, ticks[1:], strict=False))
    viewer.close()
    return sign, controls, frozen


def _process(enough: Callable[[], bool], seconds: float) -> None:
    """Let the window work until it is enough, or for so long."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end and not enough():
        QApplication.processEvents()
        time.sleep(0.001)


if __name__ == "__main__":
    main()
