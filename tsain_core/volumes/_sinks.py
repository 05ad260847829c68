"""The formats that are written: OME-TIFF and HDF5. OME-Zarr has a file of its own."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from numpy.typing import NDArray

from ._hdf5 import RAW
from ._marks import MARKS_KEY, Marks
from .writer import Target

_HEADROOM = 1 << 18  # bytes for what HDF5 writes besides the slices

_OME_UNITS = {
    "angstrom": "Å",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "meter": "m",
}


class TiffSink:
    """OME-TIFF, zlib-compressed, BigTIFF where 4 GiB may not suffice."""

    any_order = False

    def __init__(self, path: Path, target: Target) -> None:
        size = int(np.prod(target.shape, dtype=np.int64)) * target.dtype.itemsize
        self._file = tifffile.TiffWriter(path, bigtiff=size > 3 << 30, ome=False)
        self._description: str | None = _ome_xml(target)

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Append a page; the first one carries the OME-XML."""
        self._file.write(
            image,
            photometric="minisblack",
            compression="zlib",
            predictor=image.dtype.kind != "f",
            description=self._description,
            metadata=None,
            software="napari-tsain",
        )
        self._description = None

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def _ome_xml(target: Target) -> str:
    """OME-XML for all pages, in ASCII as TIFF wants it."""
    depth, height, width = target.shape
    marks = Marks(target.marks.synthetic, target.marks.provenance, target.offset)
    metadata: dict[str, Any] = {
        "CommentAnnotation": {"Namespace": MARKS_KEY, "Value": json.dumps(marks.to_json())}
    }
    if target.voxel_size is not None:
        unit = _OME_UNITS.get(target.unit or "", target.unit or "pixel")
        for axis, size in zip("ZYX", target.voxel_size, strict=True):
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = unit
    ome = tifffile.OmeXml()
    ome.addimage(
        target.dtype, target.shape, (depth, 1, 1, height, width, 1), axes="ZYX", **metadata
    )
    return ome.tostring().encode("ascii", "xmlcharrefreplace").decode()


class Hdf5Sink:
    """HDF5 in CREMI's layout, compressed a slice a chunk row."""

    any_order = True

    def __init__(self, path: Path, target: Target) -> None:
        self._folder = path.parent
        self._file = h5py.File(path, "w")
        _, height, width = target.shape
        self._data = self._file.create_dataset(
            RAW,
            target.shape,
            target.dtype,
            chunks=(1, min(height, 512), min(width, 512)),
            compression="gzip",
            compression_opts=1,
            shuffle=target.dtype.itemsize > 1,
        )
        if target.voxel_size is not None:
            self._data.attrs["resolution"] = target.voxel_size
            self._data.attrs["unit"] = target.unit or "pixel"
        self._data.attrs["offset"] = target.offset
        self._data.attrs[MARKS_KEY] = json.dumps(target.marks.to_json())

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write a slice, if there is room: the HDF5 library crashes when a disk fills up."""
        if shutil.disk_usage(self._folder).free < image.nbytes + _HEADROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._data[z] = image
        self._file.flush()

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
