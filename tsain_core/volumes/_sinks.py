"""The formats that are written: OME-TIFF and HDF5. OME-Zarr has a file of its own."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from numpy.typing import NDArray

from ..errors import TsainError
from ._hdf5 import RAW
from ._marks import MARKS_KEY, Marks
from ._units import OME_SYMBOLS
from .writer import Target


class TiffSink:
    """OME-TIFF, zlib-compressed, BigTIFF where 4 GiB may not suffice."""

    any_order = False

    def __init__(self, path: Path, target: Target) -> None:
        size = int(np.prod(target.shape, dtype=np.int64)) * target.dtype.itemsize
        self._file = tifffile.TiffWriter(path, bigtiff=size > 3 << 30, ome=False)
        self._path, self._target = path, target
        level = target.compression
        self._compression: dict[str, Any] = (
            {} if level == 0 else {"compression": "zlib", "predictor": target.dtype.kind != "f"}
        )
        if level:
            self._compression["compressionargs"] = {"level": level}
        self._description: str | None = _ome_xml(target, target.stamped_marks)
        self._marks: Marks | None = None

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Append a page; the first one carries the OME-XML."""
        self._file.write(
            image,
            photometric="minisblack",
            **self._compression,
            description=self._description,
            metadata=None,
            software="napari-tsain",
        )
        self._description = None

    def mark(self, marks: Marks) -> None:
        """Keep the marks: the first page, which has them, can be written again at the end."""
        self._marks = marks

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        if self._marks is not None:
            with tifffile.TiffFile(self._path, mode="r+") as file:
                tag = file.pages.first.tags["ImageDescription"]
                tag.overwrite(_ome_xml(self._target, self._marks))


def _ome_xml(target: Target, marks: Marks) -> str:
    """OME-XML for all pages, in ASCII as TIFF wants it."""
    depth, height, width = target.shape
    marks = replace(marks, offset=target.offset)
    metadata: dict[str, Any] = {
        "CommentAnnotation": {"Namespace": MARKS_KEY, "Value": json.dumps(marks.to_json())}
    }
    if target.voxel_size is not None:
        unit = OME_SYMBOLS.get(target.unit or "", target.unit or "pixel")
        for axis, size in zip("ZYX", target.voxel_size, strict=True):
            if size is None:
                continue
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = unit
    if target.dtype.itemsize > 4:
        raise TsainError(
            f"{target.name} cannot be written: OME-TIFF has no integers of 64 bits; give it a name "
            "that ends in .h5 or .zarr."
        )
    ome = tifffile.OmeXml()
    ome.addimage(
        target.dtype, target.shape, (depth, 1, 1, height, width, 1), axes="ZYX", **metadata
    )
    return ome.tostring().encode("ascii", "xmlcharrefreplace").decode()


class _RecordingFile(io.FileIO):
    """A file that keeps the first error to itself: the HDF5 library crashes when a write fails."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, or note why not."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view) and self.failure is None:
                done += super().write(view[done:])
        except OSError as error:
            self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the length, or note why not."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def check(self) -> None:
        """Raise the error that was noted."""
        if self.failure is not None:
            raise self.failure


class Hdf5Sink:
    """HDF5 in CREMI's layout, compressed, a slice deep a chunk."""

    any_order = True

    def __init__(self, path: Path, target: Target) -> None:
        self._raw = _RecordingFile(path, "w+")
        self._file = h5py.File(self._raw, "w")
        _, height, width = target.shape
        level = 1 if target.compression is None else target.compression
        packed = {"compression": "gzip", "compression_opts": level} if level else {}
        self._data = self._file.create_dataset(
            RAW,
            target.shape,
            target.dtype,
            chunks=(1, min(height, 512), min(width, 512)),
            shuffle=bool(level) and target.dtype.itemsize > 1,
            **packed,
        )
        if target.voxel_size is not None:
            sides = [math.nan if side is None else side for side in target.voxel_size]
            self._data.attrs["resolution"] = sides  # not a number: not known
            self._data.attrs["unit"] = target.unit or "pixel"
        self._data.attrs["offset"] = target.offset
        self.mark(target.stamped_marks)

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write a slice, and see whether it went through."""
        self._data[z] = image
        self._file.flush()
        self._raw.check()

    def mark(self, marks: Marks) -> None:
        """Write the marks as JSON."""
        self._data.attrs[MARKS_KEY] = json.dumps(marks.to_json())

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        self._raw.close()
        self._raw.check()
