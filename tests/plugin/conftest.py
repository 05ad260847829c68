"""The plugin is known, a window can be shown, and what docks remember stays within a test."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support import REPOSITORY

#: Without napari there is nothing to test here.
collect_ignore_glob = [] if find_spec("napari") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def window_code() -> None:
    """napari's window is imported; each viewer of a test is followed by garbage collections."""
    import napari._qt.qt_main_window  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def plugin_known() -> None:
    """The plugin is registered, also where it is not installed."""
    from npe2 import PluginManager, PluginManifest

    from support.gui import PLUGIN

    manager = PluginManager.instance()
    if PLUGIN not in manager:
        manager.register(PluginManifest.from_file(REPOSITORY / "napari.yaml"))


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What docks remember stays within a test, and what is remembered on this machine outside."""
    from qtpy.QtCore import QSettings

    path = tmp_path / "settings"
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(path))  # of processes that a test starts
    yield


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer with a window on screen, which must leave no widget behind."""
    shown = make_napari_viewer(show=True, strict_qt="raise")
    shown.window.resize(1000, 720)
    return shown
