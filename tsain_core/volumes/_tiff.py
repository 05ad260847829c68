"""TIFF stacks: multi-page, OME, ImageJ, BigTIFF."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..errors import TsainError
from ._marks import MARKS_KEY, Marks, marks_from_json
from ._slices import SliceStack
from .volume import Triple, Volume, check_stack, normal_unit

_DEPTH_AXES = "ZQI"  # z, or pages that nothing is said of


class TiffStack(SliceStack):
    """Pages of a TIFF series; the file is opened when the first one is read."""

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: Any) -> None:
        super().__init__(shape, dtype)
        self.path = path
        self._lock = threading.Lock()
        self._file: tifffile.TiffFile | None = None

    def read_slice(self, z: int) -> NDArray[Any]:
        """A page, or a part of the single page behind which ImageJ keeps big stacks."""
        with self._lock:
            if self._file is None:
                self._file = tifffile.TiffFile(self.path)
            series = self._file.series[0]
            try:
                if len(series.pages) == 1:
                    memory = self._file.asarray(series=0, out="memmap")
                    return np.asarray(memory.reshape(self.shape)[z], self.dtype)
                page = series.pages[z]
                assert page is not None  # checked when the file was opened
                return np.asarray(page.asarray().reshape(self.shape[1:]), self.dtype)
            except (ValueError, RuntimeError, OSError, AttributeError, TypeError) as error:
                raise _truncated(self.path, f"slice {z} cannot be read ({error})") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def _truncated(path: Path, reason: str) -> TsainError:
    return TsainError(
        f"{path.name} is damaged or truncated: {reason}; needed is the complete file: "
        "copy it again."
    )


class _Complaints(logging.Handler):
    """Collects what tifffile only logs, such as a broken chain of pages."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def _listening() -> Iterator[_Complaints]:
    handler, log = _Complaints(), logging.getLogger("tifffile")
    propagate = log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield handler
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


def read_tiff(path: Path) -> Volume:
    """Open a TIFF stack.

    Raises
    ------
    TsainError
        If it is no TIFF, damaged, or no grey stack.
    """
    with _listening() as complaints:
        try:
            with tifffile.TiffFile(path) as tif:
                volume = _open(tif, path)
        except (tifffile.TiffFileError, ValueError, IndexError, KeyError, OSError) as error:
            # a broken chain of pages comes first: what is left may look like something else
            _refuse_broken(path, complaints)
            if isinstance(error, TsainError):
                raise
            raise TsainError(
                f"{path.name} cannot be read as TIFF ({error}); needed is a complete TIFF file: "
                "copy it again, or check what it is."
            ) from error
    _refuse_broken(path, complaints)
    return volume


def _refuse_broken(path: Path, complaints: _Complaints) -> None:
    for message in complaints.messages:
        if any(word in message for word in ("invalid", "truncated", "error")):
            raise _truncated(path, message)


def _open(tif: tifffile.TiffFile, path: Path) -> Volume:
    shapes = {s.shape for s in tif.series}
    if len(tif.series) > 1 and len(shapes) > 1:
        sizes = " and ".join(" x ".join(map(str, s.shape)) for s in tif.series[:2])
        raise TsainError(
            f"{path.name} holds images of different sizes ({sizes}); needed is one stack: save "
            "its slices with one size."
        )
    series = tif.series[0]
    shape, axes = _squeeze(series.shape, series.axes)
    if "S" in axes:
        raise TsainError(
            f"{path.name} is a colour image ({axes}, {' x '.join(map(str, shape))}); needed is a "
            "grey stack (z, y, x): convert it to 8-bit grey, or, if it is a stack of 3 or 4 "
            "slices, save it as grey pages."
        )
    check_stack(shape, series.dtype, path.name)
    if axes[1:] != "YX" or axes[0] not in _DEPTH_AXES:
        raise TsainError(
            f"{path.name} says that its axes are {axes}; needed are ZYX: "
            "save it with the first axis as z (in ImageJ: Image > Properties, slices)."
        )
    _check_extent(tif, series, path)
    stack = TiffStack(path, (shape[0], shape[1], shape[2]), series.dtype)
    size, unit, marks = _metadata(tif)
    return Volume(
        stack.to_dask(),
        voxel_size=size,
        unit=unit,
        offset=marks.offset or (0.0, 0.0, 0.0),
        synthetic=marks.synthetic,
        provenance=marks.provenance,
        source=str(path),
        format="OME-TIFF" if tif.is_ome else "ImageJ TIFF" if tif.is_imagej else "TIFF",
    )


def _squeeze(shape: tuple[int, ...], axes: str) -> tuple[tuple[int, ...], str]:
    """Drop axes of length 1 other than the last two, while there are more than three."""
    kept = list(zip(shape, axes, strict=True))
    for item in [k for k in kept if k[0] == 1 and k[1] not in "ZYX"]:
        if len(kept) > 3:
            kept.remove(item)
    for item in [k for k in kept if k[0] == 1 and k[1] not in "YX"]:
        if len(kept) > 3:
            kept.remove(item)
    return tuple(k[0] for k in kept), "".join(k[1] for k in kept)


def _check_extent(tif: tifffile.TiffFile, series: Any, path: Path) -> None:
    size = tif.filehandle.size
    for z in (0, len(series.pages) - 1):
        page = series.pages[z]
        if page is None:
            raise _truncated(path, f"slice {z} is missing")
        if max(o + c for o, c in zip(page.dataoffsets, page.databytecounts, strict=True)) > size:
            raise _truncated(path, f"slice {z} ends beyond the end of the file")
    start = series.dataoffset if len(series.pages) == 1 else None
    if start is not None and start + series.nbytes > size:
        raise _truncated(path, "the last slices lie beyond the end of the file")


def _metadata(tif: tifffile.TiffFile) -> tuple[Triple | None, str | None, Marks]:
    """Voxel size, unit, and our marks."""
    if tif.is_ome and tif.ome_metadata:
        return _ome_metadata(tif.ome_metadata)
    nothing = Marks()
    imagej = tif.imagej_metadata
    if not imagej:
        return None, None, nothing
    y, x = (_pixel_size(tif, tag) for tag in ("YResolution", "XResolution"))
    unit = normal_unit(imagej.get("unit"))
    if x is None or y is None or unit is None:
        return None, unit, nothing
    return (float(imagej.get("spacing", 1.0)), y, x), unit, nothing


def _pixel_size(tif: tifffile.TiffFile, tag: str) -> float | None:
    value = tif.pages[0].tags.get(tag)  # type: ignore[union-attr]
    if value is None or not value.value[0]:
        return None
    return float(value.value[1] / value.value[0])


def _ome_metadata(xml: str) -> tuple[Triple | None, str | None, Marks]:
    ome = tifffile.xml2dict(xml)["OME"]
    image = ome["Image"]
    pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
    sizes = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    units = {normal_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"}
    text = None
    for note in _as_list(ome.get("StructuredAnnotations", {}).get("CommentAnnotation")):
        if note.get("Namespace") == MARKS_KEY:
            text = note["Value"]
    marks = marks_from_json(json.loads(text) if isinstance(text, str) else text)
    if None in sizes or len(units) != 1:
        return None, None, marks
    z, y, x = (float(s) for s in sizes)
    return (z, y, x), units.pop(), marks


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
