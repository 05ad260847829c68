"""From a file to what napari makes a layer of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..layers.provenance import LayerMarks

if TYPE_CHECKING:
    from tsain_core.volumes import Volume

_AXES = ("z", "y", "x")


def layer_data(
    path: str | os.PathLike[str], dataset: str | None = None
) -> tuple[Any, dict[str, Any], str]:
    """Data, attributes and type of a layer for a stack on disk, lazily.

    Parameters
    ----------
    path : path
        As `tsain_core.volumes.open_volume`.
    dataset : str, optional
        Path inside an HDF5 or Zarr file.

    Returns
    -------
    (data, attributes, "image" or "labels")
        Labels for a label image of an OME-Zarr. `data` is a dask array (z, y, x), or a list of
        them, the levels of a pyramid. Scale and units are only there where the file states them;
        an axis that it does not state, and a unit that is no length, are pixels.

    Raises
    ------
    TsainError
        In one line what was found, what is needed, and the remedy.
    """
    from tsain_core.volumes import is_length, open_pyramid

    levels = open_pyramid(path, dataset=dataset)
    volume = levels[0]
    data = [level.data for level in levels] if len(levels) > 1 else volume.data
    attributes: dict[str, Any] = {
        "name": _name(Path(path), dataset),
        "axis_labels": _AXES,
        "multiscale": len(levels) > 1,
        "metadata": LayerMarks(
            synthetic=volume.synthetic,
            partial={z: part.to_json() for z, part in volume.partial.items()},
            provenance=volume.provenance,
            source=str(path),
            dataset=volume.dataset or "",
            format=volume.format,
            depth=volume.shape[0] if volume.computed else None,
            digests=volume.digests,
        ).to_metadata(),
    }
    sides = volume.voxel_size or (None, None, None)
    if volume.voxel_size:
        attributes["scale"] = [1.0 if side is None else side for side in sides]
    if any(volume.offset):
        attributes["translate"] = volume.offset
    if volume.voxel_size and is_length(volume.unit):
        attributes["units"] = ["pixel" if side is None else volume.unit for side in sides]
    if volume.labels:
        return data, attributes, "labels"
    attributes |= {"colormap": "gray", "contrast_limits": _contrast(volume)}
    return data, attributes, "image"


def label_layers(path: str) -> list[tuple[Any, dict[str, Any], str]]:
    """As `layer_data`, for each label image that lies in an OME-Zarr; none in other files."""
    from tsain_core.volumes import label_images

    return [layer_data(f"{path.rstrip('/')}/{dataset}") for dataset in label_images(path)]


def _name(path: Path, dataset: str | None) -> str:
    stem = path.name.partition(".")[0] or path.name
    return f"{stem} {dataset}" if dataset else stem


def _contrast(volume: Volume) -> tuple[float, float]:
    """From black to white: all of uint8, else what the middle slice holds."""
    import numpy as np

    if volume.dtype == np.uint8:
        return 0, 255
    image = volume[volume.shape[0] // 2]
    values = image[np.isfinite(image)]
    lo, hi = (float(v) for v in np.percentile(values, (0.1, 99.9))) if values.size else (0.0, 1.0)
    return (lo, hi) if hi > lo else (lo, lo + 1)
