"""The labels of all slices of a schedule, one pair of labelled slices after the other."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import TsainError
from ..interpolation.schedule import Schedule
from ..interpolation.to_file import result_geometry, synthetic_slices
from ..volumes import Volume, create_volume
from ..volumes.volume import Shape, accepting_labels
from .shapes import labels_between


def check_labels(labels: Volume, shape: Shape, name: str = "The label volume") -> None:
    """Refuse labels that are not of a stack's size.

    Raises
    ------
    TsainError
    """
    if labels.shape != tuple(shape):
        found, wanted = (" x ".join(str(n) for n in s) for s in (labels.shape, shape))
        raise TsainError(
            f"{name} has {found} voxels and the stack {wanted} (z, y, x); one label a voxel is "
            "required: give the labels of this stack."
        )


def scheduled_labels(labels: Any, schedule: Schedule) -> Iterator[tuple[int, NDArray[Any]]]:
    """(index, labels (y, x)) of each slice of a schedule, in order.

    Parameters
    ----------
    labels : Volume or array-like (z, y, x)
        Each slice is read once; at most two are in memory.
    schedule : Schedule
        Of the stack beside it.
    """
    kept: dict[int, NDArray[Any]] = {}
    for index, wanted in enumerate(schedule.slices):
        both = {wanted.before, wanted.after}
        kept = {z: kept[z] if z in kept else np.asarray(labels[z]) for z in both}
        if not wanted.synthetic:
            yield index, kept[wanted.before]
            continue
        # where the computed image lies, which halvings may not reach exactly
        ends = kept[wanted.before], kept[wanted.after]
        yield index, labels_between(*ends, float(wanted.fraction))


def labels_to_file(
    labels: Volume,
    path: str | os.PathLike[str],
    schedule: Schedule,
    *,
    overwrite: bool = False,
    compression: int | None = None,
) -> Generator[tuple[int, int], None, None]:
    """Interpolate a label volume, and write it slice by slice.

    Parameters
    ----------
    labels : Volume
        Of integers; see `tsain_core.volumes.open_labels`.
    path : path
        .tif, .h5 or .zarr.
    schedule : Schedule
        Of the stack beside it.
    overwrite : bool
        Replace an existing result, at the end.
    compression : int, optional
        Level, 0 (none) to 9; the format's usual one by default.

    Yields
    ------
    (int, int)
        Slices that are written, and of how many.

    Raises
    ------
    TsainError
        If the result cannot be written, or would overwrite the source.
    """
    geometry = result_geometry(labels, schedule)
    dtype = np.dtype(np.uint8) if labels.dtype == bool else labels.dtype
    with accepting_labels():
        writer = create_volume(
            path,
            geometry.shape,
            dtype,
            voxel_size=geometry.voxel_size,
            unit=labels.unit,
            offset=geometry.offset,
            synthetic=synthetic_slices(labels, schedule),
            provenance={
                "software": f"napari-tsain {__version__}",
                "labels": "shape-based",
                "z_step": str(schedule.step),
                "source": os.path.basename(os.path.normpath(labels.source)),
            },
            overwrite=overwrite,
            source=labels.source,
            compression=compression,
        )
    with writer:
        for index, image in scheduled_labels(labels, schedule):
            writer.write(index, image.astype(dtype, copy=False))
            yield index + 1, geometry.shape[0]
