"""The window as a whole: it does not crash, does not stand still, and fits small screens."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QWidget,
)

from napari_tsain.widgets.scrolling import ScrollingBody, scrolled_layout
from support import REPOSITORY, TESTS
from support.gui import add_dock, click, tissue
from support.window_sequences import SEQUENCES

_OPENING = """
import sys, time
import napari
from support.gui import tissue
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show_welcome_screen=False)
viewer.add_image(tissue(4, 64))
for _ in range(50):
    QApplication.processEvents()
assert "torch" not in sys.modules
from napari_tsain.interpolation import InterpolateSlices
assert "torch" not in sys.modules
dock = InterpolateSlices(viewer)
viewer.window.add_dock_widget(dock)
assert not dock.loaded
began = last = time.perf_counter()
longest, turns = 0.0, 0
while not dock.loaded:
    QApplication.processEvents()
    longest, last, turns = max(longest, time.perf_counter() - last), time.perf_counter(), turns + 1
    time.sleep(0.002)
while "4 slices" not in dock.effect.text() and time.perf_counter() - last < 20:
    QApplication.processEvents()
assert "4 slices" in dock.effect.text()
print(f"longest {longest:.2f} s of {last - began:.2f} s, {turns} turns")
assert turns > 20
viewer.close()
"""


def run(*words: str, timeout: float = 600) -> str:
    """Run Python in the folder of the tests."""
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("qapp")  # which needs a screen as these processes do
def test_window_survives() -> None:
    said = run("-m", "support.window_sequences", "all", "2")
    assert all(f"survived {name}\n" in said for name in SEQUENCES)


@pytest.mark.slow
@pytest.mark.usefixtures("qapp")
def test_random_actions_leave_nothing_behind() -> None:
    """A short run of the soak: no widget of a closed dock stays, no exception in a slot."""
    said = run(str(REPOSITORY / "benchmarks" / "soak.py"), "--minutes", "0", "--seed", "1")
    rounds = [line.split() for line in said.splitlines()[1:5]]
    assert len({widgets for *_, widgets in rounds}) == 1, said


@pytest.mark.slow
@pytest.mark.usefixtures("qapp")
def test_window_works_while_the_first_dock_loads() -> None:
    print(run("-c", _OPENING))


def test_fits_a_small_screen(qtbot: Any, viewer: Any) -> None:
    viewer.add_image(tissue(4, 64), name="a stack with a rather long name, as files have")
    viewer.window.resize(1280, 720)
    dock = add_dock(viewer, "Interpolate slices")
    QApplication.processEvents()
    click(qtbot, dock.output.where.buttons["OME-Zarr on disk"])
    dock.model.advanced.expand(animate=False)
    for mode in dock.selection.mode_box.buttons.values():
        mode.click()
        QApplication.processEvents()
        window = viewer.window._qt_window
        assert window.height() <= 720 and window.width() <= 1280
        assert dock.minimumSizeHint().width() <= 250 and dock.minimumSizeHint().height() < 200


@pytest.mark.parametrize("name", ["Interpolate slices", "Sampling offsets", "Fine-tune"])
def test_nothing_is_cut_where_the_screen_is_small(viewer: Any, name: str) -> None:
    """1280 x 720 at a scale of 1.5 leaves a dock 265 pixels, some of them for the scroll bar."""
    viewer.add_image(tissue(4, 64), name="stack")
    window = viewer.window._qt_window
    viewer.window.resize(1280, 720)
    dock = add_dock(viewer, name if name != "Fine-tune" else "Fine-tune interpolation")
    for _ in range(5):
        QApplication.processEvents()
    (body,) = (area.widget() for area in dock.findChildren(ScrollingBody))
    assert body.minimumSizeHint().width() <= 252
    assert window.width() <= 1280 and body.width() >= min(body.sizeHint().width(), 300) - 2


def test_the_wheel_scrolls_and_changes_nothing(qtbot: Any) -> None:
    dock = QWidget()
    qtbot.addWidget(dock)
    layout = scrolled_layout(dock)
    box, line = QComboBox(), QLineEdit()
    box.addItems(["a", "b", "c"])
    for widget in (box, line, *(QPushButton(str(i)) for i in range(20))):
        layout.addWidget(widget)
    dock.resize(200, 200)
    dock.show()
    qtbot.waitExposed(dock)
    line.setFocus()
    QApplication.processEvents()
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(box.mapToGlobal(QPoint(5, 5))),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, event)
    area = dock.findChild(QScrollArea)
    assert box.currentText() == "a" and area.verticalScrollBar().value() > 0
