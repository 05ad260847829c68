"""The labels of all slices of a schedule, one pair of labelled slices after the other."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import TsainError
from ..interpolation.schedule import Schedule
from ..interpolation.to_file import result_geometry, synthetic_slices
from ..volumes import Volume, create_volume, slice_digest
from ..volumes._label_images import write_label_metadata
from ..volumes._marks import Marks
from ..volumes._publish import remove
from ..volumes._zarr_sink import ZarrSink
from ..volumes.volume import Shape, accepting_labels
from ..volumes.writer import Target
from ..volumes.zarr_layout import ZarrLayout
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
    target = _target(labels, schedule, os.path.basename(path))
    with accepting_labels():
        writer = create_volume(
            path,
            target.shape,
            target.dtype,
            voxel_size=target.voxel_size,
            unit=target.unit,
            offset=target.offset,
            synthetic=target.marks.synthetic,
            provenance=target.marks.provenance,
            overwrite=overwrite,
            source=labels.source,
            compression=compression,
        )
    with writer:
        for index, image in scheduled_labels(labels, schedule):
            writer.write(index, image.astype(target.dtype, copy=False))
            yield index + 1, target.shape[0]


def labels_in_zarr(
    labels: Volume, name: str, folder: Path, schedule: Schedule, layout: ZarrLayout
) -> Iterator[tuple[int, int]]:
    """Interpolate a label volume into the group "labels" of an OME-Zarr image.

    Parameters
    ----------
    labels : Volume
        Of integers.
    name : str
        Of the label image.
    folder : Path
        What becomes the group; what is there is replaced.
    schedule : Schedule
        Of the image.
    layout : ZarrLayout
        Of the image: version, size of chunks and compression are taken from it.

    Yields
    ------
    (int, int)
        Slices that are written, and of how many.
    """
    remove(folder)
    folder.mkdir(parents=True)
    target = _target(labels, schedule, name)
    # slices come one by one: each fills its files
    layout = replace(layout, chunks=(1, *layout.chunks[1:]), shards=None)
    sink, digests = ZarrSink(folder / name, target, layout), {}
    computed = set(target.marks.synthetic)
    for index, image in scheduled_labels(labels, schedule):
        image = image.astype(target.dtype, copy=False)
        sink.write(index, image)
        if index in computed:
            digests[index] = slice_digest(image)
        yield index + 1, target.shape[0]
    sink.mark(replace(target.stamped_marks, digests=digests))
    write_label_metadata(folder, [name], layout.version)


def _target(labels: Volume, schedule: Schedule, name: str) -> Target:
    """What a result of labels says about itself."""
    geometry = result_geometry(labels, schedule)
    provenance = {
        "software": f"napari-tsain {__version__}",
        "labels": "shape-based",
        "z_step": str(schedule.step),
        "source": os.path.basename(os.path.normpath(labels.source)),
    }
    return Target(
        geometry.shape,
        np.dtype(np.uint8) if labels.dtype == bool else labels.dtype,
        geometry.voxel_size,
        labels.unit,
        geometry.offset,
        Marks(synthetic_slices(labels, schedule), provenance),
        name,
        labels=True,
    )
