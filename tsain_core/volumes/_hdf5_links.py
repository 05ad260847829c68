"""What an HDF5 file names in other files: followed only into its own folder, never in a circle.

A file can take its voxels from anywhere on the machine: by external links, by external storage,
or by virtual datasets. And a virtual dataset that leads back to itself crashes the HDF5 library
when it is read. So all that a dataset draws on is looked at before a value is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import TsainError
from ._guard import require_regular
from ._hdf5_crashes import check_harmless

_DEEPEST = 16  # links or virtual datasets one after the other


def check_path(file: Any, path: Path, dataset: str, depth: int = 0) -> None:
    """Refuse a path inside a file that leads out of the file's folder, or nowhere.

    Raises
    ------
    TsainError
    KeyError
        If there is nothing of that name.
    """
    if depth > _DEEPEST:
        raise TsainError(
            f"{path.name}/{dataset} is a circle of links; name the dataset that they lead to."
        )
    group = file
    for part in dataset.strip("/").split("/"):
        if not isinstance(group, h5py.Group):
            raise KeyError(dataset)
        link = group.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            target = beside(path, link.filename, f"{path.name}/{dataset}")
            check_harmless(target, link.path)
            with h5py.File(target, "r") as other:
                check_path(other, target, link.path, depth + 1)
        elif isinstance(link, h5py.SoftLink):
            start = file if link.path.startswith("/") else group
            check_path(start, path, link.path, depth + 1)
        group = group[part]


def check_sources(item: Any, path: Path, title: str) -> tuple[Path, ...]:
    """Refuse a dataset that draws on files elsewhere, on files that are gone, or on itself.

    Returns
    -------
    tuple of Path
        The files of a virtual dataset; all of them are there.

    Raises
    ------
    TsainError
    """
    for name, _, _ in item.external or ():
        beside(path, name, title)
    if not item.is_virtual:
        return ()
    found: dict[Path, None] = {}
    _check_virtual(item, path, title, (), found)
    return tuple(found)


def _check_virtual(
    item: Any, path: Path, title: str, above: tuple[tuple[Path, str], ...], found: dict[Path, None]
) -> None:
    here = (path.resolve(), item.name)
    if here in above or len(above) > _DEEPEST:
        raise TsainError(
            f"{title} is a virtual dataset that takes its values from itself, by way of "
            f"{path.name}; give a dataset that holds values, or make the virtual one again."
        )
    for source in sorted({(s.file_name, s.dset_name) for s in item.virtual_sources()}):
        for name, dataset in _expanded(path, *source):
            target = path if name == "." else beside(path, name, title)
            found[target] = None
            check_harmless(target, dataset)
            with h5py.File(target, "r") as file:
                if dataset not in file:
                    raise TsainError(
                        f"{title} takes values from {dataset} in {target.name}, which is not "
                        "there; put the complete file in its place."
                    )
                check_path(file, target, dataset)
                inner = file[dataset]
                for raw, _, _ in getattr(inner, "external", None) or ():
                    beside(target, raw, title)
                if getattr(inner, "is_virtual", False):
                    _check_virtual(inner, target, title, (*above, here), found)


def _expanded(path: Path, file_name: str, dataset: str) -> list[tuple[str, str]]:
    """The sources of a pattern such as "part-%b.h5": those that are there, from 0 on."""
    if "%b" not in file_name + dataset:
        return [(file_name.replace("%%", "%"), dataset.replace("%%", "%"))]
    names: list[tuple[str, str]] = []
    while len(names) < 100_000:
        name, inner = (
            text.replace("%b", str(len(names))).replace("%%", "%") for text in (file_name, dataset)
        )
        if "%b" not in file_name or (names and not (path.parent / name).exists()):
            break
        names.append((name, inner))
    return names or [(file_name.replace("%b", "0"), dataset.replace("%b", "0"))]


def beside(path: Path, name: str, title: str) -> Path:
    """A file that another one names, if it lies in the same folder or below.

    Raises
    ------
    TsainError
    """
    folder = path.resolve().parent
    target = Path(name)
    if target.is_absolute() and not target.exists():
        target = Path(target.name)  # where the HDF5 library looks next
    target = (folder / target).resolve()
    if not target.is_relative_to(folder):
        raise TsainError(
            f"{title} takes its values from {name}, outside the folder of {path.name}, which is "
            "not followed: move that file into the folder and have it named there, or open it "
            "itself."
        )
    if not target.exists():
        raise TsainError(
            f"{title} takes its values from {name}, which is gone; put that file back beside "
            f"{path.name}: without it all would be black."
        )
    require_regular(target, path.name)
    return target


def unmapped_slices(item: Any, z_axis: int) -> list[int]:
    """Slices of a virtual dataset that no source covers in full."""
    voxels = np.zeros(item.shape[z_axis])
    for source in item.virtual_sources():
        try:
            first, last = source.vspace.get_select_bounds()
        except (RuntimeError, ValueError):
            return []  # without end: as many as there are
        low, high = int(first[z_axis]), int(last[z_axis])
        if high >= len(voxels) or high < low:
            return []  # without end: as many as there are
        voxels[low : high + 1] += source.vspace.get_select_npoints() / (high + 1 - low)
    plane = int(np.prod(item.shape, dtype=np.int64)) / max(1, len(voxels))
    return [int(z) for z in np.flatnonzero(voxels < plane - 0.5)]
