"""Errors in the words of the docks: controls, not options of the command; and times."""

from __future__ import annotations

from tsain_core.cli.wording import options_as_arguments
from tsain_core.errors import TsainError, first_line

#: Key of an argument -> the control that sets it, or what does the same in a dock.
CONTROLS = {
    "align": '"Align pairs" under "Advanced"',
    "between": '"Between two"',
    "damaged": '"Replace"',
    "dask": '"Dask cluster"',
    "dataset": "the list of datasets that opening the file shows",
    "detail": '"real detail"',
    "device": '"device" under "Advanced"',
    "ensemble": '"ensemble" under "Advanced"',
    "factor": '"finer by"',
    "labels": '"labels"',
    "match_brightness": '"Match brightness" under "Advanced"',
    "minutes": '"minutes"',
    "overwrite": '"Replace it if it exists"',
    "precision": '"precision" under "Advanced"',
    "repair_mask": '"replace" under "Replace"',
    "replace": '"Replace"',
    "restart": '"Discard an unfinished run"',
    "seed": '"seed" under "Advanced"',
    "tile": '"tile" under "Advanced"',
    "uncertainty": '"Uncertainty"',
    "voxel_size": "the scale of the layer",
    "z_size": 'the z voxel size under "finer by"',
}


def as_control(key: str, value: str) -> str:
    """An argument as the docks call it; what they have no control for, the command line has."""
    control = CONTROLS.get(key, f'"{key.replace("_", " ")}" on the command line')
    return f"{control}: {value}" if value else control


def in_dock_words(error: Exception) -> str:
    """The message of an error for a dock's user, also where it comes from the command."""
    if not isinstance(error, TsainError):
        return first_line(error)
    return TsainError(options_as_arguments(error.args[0])).worded(as_control)


def duration(seconds: float) -> str:
    """A time for people: "40 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
