"""A second stack that belongs to a result: inside an OME-Zarr or HDF5, beside a TIFF.

It appears when it is complete; until then, and after an error, the result is as it was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ._hdf5 import RAW
from ._publish import cannot_write, remove
from .files import create_volume
from .volume import Triple, VoxelSize

Write = Callable[[int, NDArray[Any]], None]


def companion_path(path: Path, name: str) -> Path:
    """Where a companion lies: a group, a file with a dataset, or a file of its own."""
    if path.suffix.lower() == ".zarr":
        return path / name
    return path if _is_hdf5(path) else path.with_name(f"{path.stem}-{name}{path.suffix}")


@contextmanager
def create_companion(
    path: Path,
    name: str,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    *,
    voxel_size: VoxelSize | None = None,
    unit: str | None = None,
    offset: Triple = (0.0, 0.0, 0.0),
    synthetic: Sequence[int] = (),
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    compression: int | None = None,
) -> Iterator[Write]:
    """Write a companion of a result that is complete, slice by slice in ascending order.

    Parameters
    ----------
    path : Path
        The result.
    name : str
        Of the companion: a group, a dataset, or the end of a file's name.
    shape, dtype, voxel_size, unit, offset, synthetic, provenance, overwrite, compression
        As `create_volume`.

    Yields
    ------
    callable (z, image)

    Raises
    ------
    TsainError
        If it cannot be written.
    """
    common: dict[str, Any] = {
        "voxel_size": voxel_size, "unit": unit, "offset": offset, "synthetic": synthetic,
        "provenance": provenance, "compression": compression,
    }  # fmt: skip
    inside = path.suffix.lower() == ".zarr" or _is_hdf5(path)
    if not inside:
        final = companion_path(path, name)
        with create_volume(final, shape, dtype, overwrite=overwrite, **common) as writer:
            yield writer.write
        return
    # made beside the result, in a form of its own, and moved or copied in when it is complete
    partial = path.with_name(f".{path.name}.{name}-{os.getpid()}{path.suffix}")
    try:
        with create_volume(partial, shape, dtype, overwrite=True, **common) as writer:
            yield writer.write
        if _is_hdf5(path):
            _into_hdf5(partial, path, name)
        else:
            remove(path / name)
            partial.rename(path / name)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        remove(partial)


def _into_hdf5(partial: Path, path: Path, name: str) -> None:
    """Copy the file with the new dataset in it, and let the copy take its place."""
    copy = path.with_name(f".{path.name}.with-{name}-{os.getpid()}")
    try:
        shutil.copyfile(path, copy)
        with h5py.File(partial) as source, h5py.File(copy, "r+") as target:
            source.copy(source[RAW], target["volumes"], name)
        os.replace(copy, path)
    finally:
        remove(copy)


def _is_hdf5(path: Path) -> bool:
    return path.suffix.lower() in (".h5", ".hdf", ".hdf5")
