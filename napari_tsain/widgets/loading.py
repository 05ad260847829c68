"""A dock that opens at once, while the libraries that its controls need are imported."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from .notifications import notify_error
from .scrolling import ScrollingBody

if TYPE_CHECKING:
    import napari

_LOOK = 30  # milliseconds between two looks whether the libraries are there
_HEAVY = "torch"  # what takes long
_SIGN_WIDTH = 240  # pixels, about what the controls take


class LoadingDock(QWidget):
    """The widget that napari puts into its window; the controls are a panel within it.

    Importing torch takes seconds. It is done in a thread while the dock shows a sign; then the
    panel is made. From then on, attributes that the dock does not have are those of the panel.

    Parameters
    ----------
    viewer : napari.Viewer
    module : str
        Which has the panel's class, and imports all that it needs.
    name : str
        Of the class; called with the viewer and this dock as `parent`.
    """

    def __init__(
        self, viewer: napari.Viewer, module: str, name: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._wanted = viewer, module, name
        self._panel: QWidget | None = None
        self._error: Exception | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        if module in sys.modules:
            self.finish_loading()
            return
        self._sign = _sign()
        _put(self._sign, self)
        self._thread = Thread(target=self._load, daemon=True, name="tsain-import")
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK)
        self._timer.timeout.connect(self._look)
        self._timer.start()
        self._thread.start()

    @property
    def loaded(self) -> bool:
        """Whether the controls are there."""
        return self._panel is not None

    def finish_loading(self) -> QWidget:
        """The panel; waits for what it needs."""
        if self._panel is None:
            viewer, module, name = self._wanted
            panel = getattr(import_module(module), name)(viewer, parent=self)
            self._panel = panel
            if sign := self.__dict__.get("_sign"):
                self._timer.stop()
                sign.hide()
                sign.deleteLater()
            _put(panel, self)
            QTimer.singleShot(0, self._fit)  # when the layout has seen the panel
        return self._panel

    def _fit(self) -> None:
        for body in self.findChildren(ScrollingBody):
            body.fill()

    def __getattr__(self, name: str) -> Any:
        panel = self.__dict__.get("_panel")
        if panel is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__} has no {name!r}, or not yet.")
        return getattr(panel, name)

    def _load(self) -> None:
        try:
            _load_libraries()
            import_module(self._wanted[1])
        except Exception as error:  # a broken installation: told where it can be seen
            self._error = error

    def _look(self) -> None:
        if self._thread.is_alive():
            return
        self._timer.stop()
        if self._error is None:
            self.finish_loading()
            return
        for bar in self._sign.findChildren(QProgressBar):
            bar.hide()
        for label in self._sign.findChildren(QLabel):
            label.setText(notify_error(self._error))


def _put(widget: QWidget, dock: QWidget) -> None:
    """Fill a dock with a widget: one that may not grow would get a stretch below it from napari."""
    widget.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
    layout = dock.layout()
    assert layout is not None
    layout.addWidget(widget)


def _load_libraries() -> None:
    """Load torch's libraries, on Linux, without holding Python's lock.

    Importing torch loads them with the lock held, for which the window stood still for up to a
    second. Here they are loaded in the same order, by a foreign function, which lets go of the
    lock; the import then finds them there.
    """
    there = _HEAVY in sys.modules
    found = find_spec(_HEAVY) if sys.platform == "linux" and not there else None
    if found is None or found.origin is None:
        return
    folder = Path(found.origin).parent / "lib"
    load = ctypes.CDLL(None).dlopen
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    for name, mode in (("libtorch_global_deps.so", os.RTLD_GLOBAL), ("libtorch.so", 0)):
        if (folder / name).is_file():
            load(os.fsencode(folder / name), os.RTLD_NOW | mode)


def _sign() -> QWidget:
    """What stands in the dock meanwhile."""
    sign = QWidget()
    sign.setMinimumWidth(_SIGN_WIDTH)  # or the dock jumps when its controls come
    layout = QVBoxLayout(sign)
    text = QLabel("Loading the networks. This takes some seconds once in a session.")
    text.setWordWrap(True)
    text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    bar = QProgressBar()
    bar.setRange(0, 0)
    bar.setTextVisible(False)
    layout.addWidget(text)
    layout.addWidget(bar)
    layout.addStretch(1)
    return sign
