"""The reader that napari asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ..layers.provenance import METADATA_KEY

LayerDataTuple: TypeAlias = "tuple[Any, dict[str, Any], str]"
ReadFunction: TypeAlias = "Callable[[str | Sequence[str]], list[Any]]"

_PLUGIN = "napari-tsain"
#: What tells napari that nothing was read, and that this is no error.
_NOTHING = [(None,)]
_FILES = (
    (".h5", ".hdf", ".hdf5")
    + (".mrc", ".mrcs", ".rec", ".st", ".map", ".ali")
    + (".ome.tif", ".ome.tiff")
    + (".dm3", ".dm4", ".nrrd", ".nhdr", ".zarr.zip")
)
_SLICES = (".tif", ".tiff", ".png", ".dm3", ".dm4")


def get_reader(path: str | Sequence[str]) -> ReadFunction | None:
    """The function that reads a path, or None if it is not for us; imports nothing heavy."""
    if not isinstance(path, str):
        return None
    where = Path(path)
    try:
        if not where.is_dir():
            return _read if where.name.lower().endswith(_FILES) else None
        if _is_zarr(where):
            return _read if _is_ours(where) or not _read_by_others(path) else None
        if _is_other_volume(where):
            return _read
        return _read if any(p.suffix.lower() in _SLICES for p in where.iterdir()) else None
    except (OSError, ValueError):  # may not be read, or no name of a file: others may know better
        return None


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def _is_other_volume(folder: Path) -> bool:
    """Whether it is an N5, a precomputed volume, or a dataset of WEBKNOSSOS."""
    names = ("attributes.json", "info", "datasource-properties.json")
    return folder.suffix.lower() == ".n5" or any((folder / name).is_file() for name in names)


def _is_ours(folder: Path) -> bool:
    """Whether a Zarr carries marks of computed slices, which other readers would lose."""
    for name, inside in (("zarr.json", ("attributes",)), (".zattrs", ())):
        try:
            # what is no regular file may never end
            values = json.loads((folder / name).read_text()) if (folder / name).is_file() else {}
        except (OSError, ValueError, RecursionError):
            continue  # not there, or not to be understood: then it is not ours
        for key in inside:
            values = values.get(key) if isinstance(values, dict) else None
        if isinstance(values, dict) and METADATA_KEY in values:
            return True
    return False


def _read_by_others(path: str) -> bool:
    """Whether another plugin reads Zarr folders: one for OME-Zarr knows more of them than we."""
    from npe2 import PluginManager

    manager = PluginManager.instance()
    readers = manager.iter_compatible_readers(path)
    # not reader.plugin_name, which ends at the first hyphen; for the same reason npe2 keeps the
    # readers of plugins that are gone
    others = {reader.command.partition(".")[0] for reader in readers} - {_PLUGIN}
    there = (name for name in others if name in manager and not manager.is_disabled(name))
    return any("zarr" in name for name in there)


def _read(path: str | Sequence[str]) -> list[Any]:
    from tsain_core.errors import TsainError

    from ..layers.synthetic_notice import watch_current_viewer
    from ..widgets.notifications import warnings_shown
    from ._layer_data import label_layers, layer_data
    from ._uncertainty import uncertainty_layers

    assert isinstance(path, str)
    with warnings_shown():
        try:
            data = layer_data(path)
        except TsainError:
            if not _can_ask(path):
                raise
            dataset = _ask(path)
            if dataset is None:
                return list(_NOTHING)
            data = layer_data(path, dataset)
        others = [*uncertainty_layers(path), *label_layers(path)]
    watch_current_viewer()
    return [data, *others]


def _can_ask(path: str) -> bool:
    """Whether the file holds several things, and there is a window to ask in."""
    from qtpy.QtWidgets import QApplication

    from tsain_core.volumes import list_datasets

    return QApplication.instance() is not None and len(list_datasets(path)) > 1


def _ask(path: str) -> str | None:
    from ._dataset_dialog import choose_dataset

    return choose_dataset(path)
