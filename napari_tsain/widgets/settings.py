"""What is remembered from one use of a dock to the next."""

from __future__ import annotations

from qtpy.QtCore import QSettings


def _store() -> QSettings:
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "napari-tsain", "docks")


def remembered(key: str, default: str = "") -> str:
    """A setting by name."""
    return str(_store().value(key, default))


def remember(key: str, value: str) -> None:
    """Keep a setting for the next time."""
    _store().setValue(key, value)
