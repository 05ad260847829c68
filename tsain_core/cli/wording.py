"""Arguments in messages as options of the command, and back."""

from __future__ import annotations

import re

from ..errors import argument

_NAMES = {"damaged": "replace", "intensity": "range"}
_KEYS = {name: key for key, name in _NAMES.items()} | {"replace": "replace"}
_VALUES = {"intensity": "LO HI", "voxel_size": "Z Y X"}


def as_option(key: str, value: str) -> str:
    """An argument as an option: --restart, --voxel-size Z Y X, --every 1."""
    option = "--" + _NAMES.get(key, key).replace("_", "-")
    value = value or _VALUES.get(key, "")
    return f"{option} {value}" if value else option


def options_as_arguments(text: str) -> str:
    """A message of the command for other front ends: its options are arguments again."""

    def back(match: re.Match[str]) -> str:
        name = match[1].replace("-", "_")
        return argument(_KEYS.get(name, name))

    return re.sub(r"--([a-z][a-z-]*[a-z])(?: LO HI| Z Y X)?", back, text)
