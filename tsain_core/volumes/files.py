"""From a path to the right format, for reading and writing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import TsainError, argument, warn
from ._dm import SUFFIXES as _DM
from ._dm import read_dm
from ._folder import has_slices, read_folder
from ._guard import reading, require_regular
from ._hdf5 import hdf5_datasets, read_hdf5
from ._locations import Location, is_remote, locate
from ._lock import OutputLock
from ._marks import Marks, with_true_marks
from ._mrc import read_mrc
from ._n5 import is_n5, n5_datasets, read_n5
from ._nrrd import SUFFIXES as _NRRD
from ._nrrd import read_nrrd
from ._partial import PartlyComputed
from ._precomputed import is_precomputed, precomputed_scales, read_precomputed
from ._sinks import Hdf5Sink, TiffSink
from ._tiff import read_tiff
from ._units import checked_size, normal_unit
from ._webknossos import is_webknossos, read_webknossos, webknossos_datasets
from ._zarr import finest_level, is_zarr, labels_in, pyramid_levels, read_zarr, zarr_datasets
from ._zarr_sink import ZarrSink
from .volume import DTYPES, Triple, Volume, VoxelSize, accepted_dtypes, accepting_labels
from .writer import Sink, Target, VolumeWriter, check_free, refuse_existing, refuse_source
from .zarr_layout import OmeVersion, ZarrLayout, default_version

_TIFF = (".tif", ".tiff", ".btf", ".tf8")
_HDF5 = (".h5", ".hdf", ".hdf5")
_MRC = (".mrc", ".mrcs", ".rec", ".st", ".map", ".ali")


def open_volume(path: str | os.PathLike[str], *, dataset: str | None = None) -> Volume:
    """Open a stack; its grey values are read when they are used.

    Parameters
    ----------
    path : path
        A TIFF, HDF5, MRC, DM3, DM4 or NRRD file; a Zarr, OME-Zarr (also zipped), N5 or Neuroglancer
        precomputed or WEBKNOSSOS folder; a folder of TIFF, PNG, DM3 or DM4 slices; or the URL of a
        Zarr or OME-Zarr: s3://, gs://, https:// or another that fsspec opens.
    dataset : str, optional
        Path inside an HDF5, Zarr or N5 file, or key of a precomputed scale.

    Returns
    -------
    Volume
        Lazy grey values (z, y, x), with voxel size and unit where the file has them.

    Raises
    ------
    TsainError
        In one line what was found, what is needed, and the remedy.
    """
    with reading(_title(path)):
        place = locate(path)
        volume = _open(place, dataset)
        level = volume.dataset if volume.digests and _in_zarr(place) else None
        finest = finest_level(place, level) if level else None
        return with_true_marks(volume, _title(path), finest)


def open_labels(path: str | os.PathLike[str], *, dataset: str | None = None) -> Volume:
    """Open a mask or label volume: as `open_volume`, but its values are integers of any size.

    Raises
    ------
    TsainError
        As `open_volume`.
    """
    with accepting_labels():
        return open_volume(path, dataset=dataset)


def _open(path: Location, dataset: str | None) -> Volume:
    if not isinstance(path, Path) or is_remote(path):
        return read_zarr(path, dataset)
    if not os.path.lexists(path):
        raise TsainError(f"There is nothing at {path}; check the name.")
    require_regular(path)
    if path.is_dir():
        return _open_folder(path, dataset)
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        return read_hdf5(path, dataset)
    if suffix == ".zip":
        return read_zarr(path, dataset)
    _refuse_dataset(path, dataset)
    for endings, read in ((_TIFF, read_tiff), (_MRC, read_mrc), (_DM, read_dm), (_NRRD, read_nrrd)):
        if suffix in endings:
            return read(path)
    if suffix == ".png":
        raise TsainError(
            f"{path.name} is a single image; expected a stack: give the folder of the slices."
        )
    raise TsainError(
        f"{path.name} has an unknown ending; expected TIFF, HDF5, MRC, DM, NRRD, Zarr, N5 or a "
        f"folder of slices ({', '.join((*_TIFF, *_HDF5, *_MRC, *_DM, *_NRRD, '.zarr', '.zip'))})."
    )


def _open_folder(path: Path, dataset: str | None) -> Volume:
    if is_zarr(path):
        return read_zarr(path, dataset)
    if is_webknossos(path):
        return read_webknossos(path, dataset)
    if is_n5(path):
        return read_n5(path, dataset)
    if is_precomputed(path):
        return read_precomputed(path, dataset)
    _refuse_dataset(path, dataset)
    return read_folder(path)


def open_pyramid(path: str | os.PathLike[str], *, dataset: str | None = None) -> list[Volume]:
    """Open all levels of a stack, full resolution first; a single one where there are no others.

    Raises
    ------
    TsainError
        As `open_volume`.
    """
    full = open_volume(path, dataset=dataset)
    with reading(_title(path)):
        place = locate(path)
        levels = pyramid_levels(place, dataset) if _in_zarr(place) else []
        return [full, *_coarser(place, levels[1:], full)]


def _coarser(place: Location, levels: Sequence[str], full: Volume) -> Iterator[Volume]:
    """Coarser levels, which only save time: those that cannot be read are left out."""
    for level in levels:
        try:
            with reading(place.name):
                volume = replace(
                    read_zarr(place, level),
                    synthetic=full.synthetic,
                    partial={},  # said of the finest level, which is the one that is worked on
                    provenance=full.provenance,
                    digests={},
                )
        except TsainError as error:
            warn(f"{place.name}: level {level} is left out, which only slows the view: {error}")
        else:
            yield volume


def label_images(path: str | os.PathLike[str]) -> list[str]:
    """Datasets of the label images that lie in an OME-Zarr: "labels/NAME"; open with `open_labels`.

    Raises
    ------
    TsainError
        As `open_volume`.
    """
    with reading(_title(path)):
        place = locate(path)
        return labels_in(place) if _in_zarr(place) else []


def list_datasets(path: str | os.PathLike[str]) -> Mapping[str, tuple[tuple[int, ...], str]]:
    """Path inside the file -> (shape, dtype) of each dataset; empty for formats without them.

    Raises
    ------
    TsainError
        As `open_volume`.
    """
    with reading(_title(path)):
        place = locate(path)
        if not isinstance(place, Path) or is_remote(place):
            return zarr_datasets(place)
        require_regular(place)
        suffix = place.suffix.lower()
        if place.is_dir():
            return _datasets_in_folder(place)
        if suffix == ".zip":
            return zarr_datasets(place)
        return hdf5_datasets(place) if suffix in _HDF5 else {}


def _datasets_in_folder(path: Path) -> Mapping[str, tuple[tuple[int, ...], str]]:
    if is_zarr(path):
        return {} if has_slices(path) else zarr_datasets(path)
    if is_webknossos(path):
        return webknossos_datasets(path)
    if is_n5(path):
        return n5_datasets(path)
    return precomputed_scales(path) if is_precomputed(path) else {}


def create_volume(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    dtype: DTypeLike,
    *,
    voxel_size: VoxelSize | None = None,
    unit: str | None = None,
    offset: Triple = (0.0, 0.0, 0.0),
    synthetic: Sequence[int] = (),
    partial: Mapping[int, PartlyComputed] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    source: str | None = None,
    ome_version: OmeVersion | None = None,
    compression: int | None = None,
) -> VolumeWriter:
    """Begin to write a stack, slice by slice.

    Parameters
    ----------
    path : path
        `.tif` (OME-TIFF), `.h5` (CREMI's layout) or `.zarr` (OME-Zarr with a pyramid).
    shape : (z, y, x)
    dtype : uint8, uint16, int16 or float32
    voxel_size : (z, y, x) in `unit`, optional
        None for an axis that is not known; so it is read back.
    offset : (z, y, x), in `unit`
    unit : str, optional
    synthetic : sequence of int
        z indices of computed slices.
    partial : mapping, optional
        z of a slice that is real but for some pixels -> which ones.
    provenance : mapping, optional
        How they were computed; JSON-able.
    overwrite : bool
        Replace what is there, when the new one is complete.
    source : str, optional
        Path of the input, which must not be written to.
    ome_version : "0.4" or "0.5", optional
        Of OME-Zarr; the newest by default.
    compression : int, optional
        Level, 0 (none) to 9; the format's usual one by default.

    Returns
    -------
    VolumeWriter
        A context manager. Slices go to HDF5 and OME-Zarr in any order, to TIFF in ascending order.

    Raises
    ------
    TsainError
        If the ending is unknown, the voxel size is not finite and positive, the result exists, or
        it would touch the source.
    """
    path = Path(path)
    make_sink = _sink_for(path, ome_version)
    if np.dtype(dtype).name not in accepted_dtypes():
        raise TsainError(
            f"dtype {np.dtype(dtype)} cannot be written; expected one of {accepted_dtypes()}."
        )
    if len(shape) != 3 or min(shape) < 1:
        size = " x ".join(str(n) for n in shape)
        raise TsainError(f"A stack of {size} cannot be written; expected (z, y, x): give three.")
    depth, height, width = (int(n) for n in shape)
    marks = Marks(
        tuple(int(z) for z in synthetic), dict(provenance or {}), partial=dict(partial or {})
    )
    json.dumps(marks.to_json())  # what is not JSON shows before a file is begun
    target = Target(
        (depth, height, width),
        np.dtype(dtype),
        None if voxel_size is None else checked_size(voxel_size),
        normal_unit(unit),
        offset,
        marks,
        path.name,
        compression,
        accepted_dtypes() != DTYPES,
    )
    refuse_source(path, source)
    lock = OutputLock(path).take()
    try:
        check_free(path, overwrite, writes_folder=path.suffix.lower() == ".zarr")
        return VolumeWriter(path, target, make_sink, overwrite, lock)
    except BaseException:
        lock.release()
        raise


def _title(path: str | os.PathLike[str]) -> str:
    return os.path.basename(os.fspath(path).rstrip("/")) or os.fspath(path)


def check_output(path: str | os.PathLike[str], source: str | None, overwrite: bool) -> None:
    """See whether a result could be written, as far as that is known without writing anything.

    Raises
    ------
    TsainError
        If the ending is unknown, the result exists, or it would touch the source.
    """
    path = Path(path)
    _sink_for(path, None)
    refuse_source(path, source)
    refuse_existing(path, overwrite, writes_folder=path.suffix.lower() == ".zarr")


def _in_zarr(path: Location) -> bool:
    return is_remote(path) or (path.is_dir() and is_zarr(path))


def _sink_for(path: Path, ome_version: OmeVersion | None) -> Callable[[Path, Target], Sink]:
    suffix = path.suffix.lower()
    if suffix in _TIFF:
        return TiffSink
    if suffix in _HDF5:
        return Hdf5Sink
    if suffix == ".zarr":
        return partial(ZarrSink, layout=ZarrLayout(ome_version or default_version()))
    raise TsainError(
        f"{path.name} has an ending that is not written; expected .tif, .h5 or .zarr: change "
        "the name."
    )


def _refuse_dataset(path: Path, dataset: str | None) -> None:
    if dataset:
        leave_out = argument("dataset", dataset)
        raise TsainError(f"{path.name} has no datasets inside; leave out {leave_out}.")
