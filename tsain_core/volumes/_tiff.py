"""TIFF stacks: multi-page, OME, ImageJ, BigTIFF."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..errors import TsainError, first_line
from ._slices import SliceStack
from ._tiff_metadata import tiff_metadata
from .volume import Volume, check_stack

_DEPTH_AXES = "ZQI"  # z, or pages that nothing is said of


class TiffStack(SliceStack):
    """Pages of a TIFF file, which is opened when the first one is read."""

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: Any) -> None:
        super().__init__(shape, dtype)
        self.path = path
        self._lock = threading.Lock()
        self._file: tifffile.TiffFile | None = None
        self._pages: Sequence[Any] = ()
        self._whole: NDArray[Any] | None = None

    def read_slice(self, z: int) -> NDArray[Any]:
        """A page, or a part of the single page behind which ImageJ keeps big stacks."""
        with self._lock:
            try:
                if self._file is None:
                    self._file = tifffile.TiffFile(self.path)
                    self._pages = slice_pages(self._file)
                if len(self._pages) == 1:
                    if self._whole is None:
                        self._whole = self._file.asarray(series=0, out="memmap")
                    return np.asarray(self._whole.reshape(self.shape)[z], self.dtype)
                page = self._pages[z]
                assert page is not None  # checked when the file was opened
                return np.asarray(page.asarray().reshape(self.shape[1:]), self.dtype)
            except (ValueError, RuntimeError, OSError, AttributeError, TypeError) as error:
                reason = f"slice {z} cannot be read ({first_line(error)})"
                raise _truncated(self.path, reason) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_pages": (), "_whole": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def slice_pages(tif: tifffile.TiffFile) -> Sequence[Any]:
    """The pages of a stack; a file written image by image has a series for each."""
    if len(tif.series) == 1:
        return tif.series[0].pages
    return [page for series in tif.series for page in series.pages]


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
                f"{path.name} cannot be read as TIFF ({first_line(error)}); needed is a complete "
                "TIFF file: copy it again, or check what it is."
            ) from error
    _refuse_broken(path, complaints)
    return volume


def _refuse_broken(path: Path, complaints: _Complaints) -> None:
    for message in complaints.messages:
        if any(word in message for word in ("invalid", "truncated", "error")):
            raise _truncated(path, message)


def _open(tif: tifffile.TiffFile, path: Path) -> Volume:
    series = tif.series[0]
    shape, axes = _squeeze(series.shape, series.axes)
    _check_alike(tif, path)
    if len(tif.series) > 1:
        if len(shape) > 2:
            raise TsainError(
                f"{path.name} holds {len(tif.series)} images of {' x '.join(map(str, shape))}; "
                "needed is one stack: save the one that is meant as a file of its own."
            )
        shape, axes = (len(tif.series), *shape), f"I{axes}"
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
    _check_extent(tif, path)
    stack = TiffStack(path, (shape[0], shape[1], shape[2]), series.dtype)
    size, unit, marks = tiff_metadata(tif, path)
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


def _check_alike(tif: tifffile.TiffFile, path: Path) -> None:
    kinds = list(dict.fromkeys((s.shape, s.dtype) for s in tif.series))
    if len(kinds) > 1:
        found = " and ".join(f"{' x '.join(map(str, shape))} {dtype}" for shape, dtype in kinds[:2])
        raise TsainError(
            f"{path.name} holds images of different sizes or dtypes ({found}); needed is one "
            "stack: save its slices with one size and dtype."
        )


def _check_extent(tif: tifffile.TiffFile, path: Path) -> None:
    size, pages = tif.filehandle.size, slice_pages(tif)
    for z in (0, len(pages) - 1):
        page = pages[z]
        if page is None:
            raise _truncated(path, f"slice {z} is missing")
        if page.parent is not tif:
            continue  # in another file of a set, which is opened when it is read
        if max(o + c for o, c in zip(page.dataoffsets, page.databytecounts, strict=True)) > size:
            raise _truncated(path, f"slice {z} ends beyond the end of the file")
    start = tif.series[0].dataoffset if len(pages) == 1 else None
    if start is not None and start + tif.series[0].nbytes > size:
        raise _truncated(path, "the last slices lie beyond the end of the file")
