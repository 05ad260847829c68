"""TIFF stacks: multi-page, OME, ImageJ, BigTIFF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tifffile

from ..errors import TsainError
from ._grey import grey_dtype, grey_values
from ._slices import SliceStack
from ._tiff_chain import truncated
from ._tiff_layout import Layout, find_slices
from ._tiff_metadata import tiff_metadata
from ._tiff_pages import check_stored, open_tiff
from ._tiff_stack import PageLocation, TiffBlock, TiffPages
from .volume import Volume, check_stack

_DEPTH_AXES = "ZQI"  # z, or pages that nothing is said of


def read_tiff(path: Path) -> Volume:
    """Open a TIFF stack.

    Thumbnails and masks are left out. Where a description says fewer slices than there are pages,
    all pages are read, with a warning.

    Raises
    ------
    TsainError
        If it is no TIFF, damaged, no grey stack, or misses slices.
    """
    with open_tiff(path) as tif:
        layout = find_slices(tif, path)
        _check_pages(layout, tif, path)
        shape = tuple(n for n, axis in zip(layout.shape, layout.axes, strict=True) if axis != "S")
        axes, dtype = layout.axes.replace("S", ""), grey_dtype(layout.pages[0].keyframe)
        check_stack(shape, dtype, path.name)
        if axes[1:] != "YX" or axes[0] not in _DEPTH_AXES:
            raise TsainError(
                f"{path.name} says that its axes are {axes}; expected ZYX: "
                "save it with the first axis as z (in ImageJ: Image > Properties, slices)."
            )
        size, unit, marks = tiff_metadata(tif, path)
        return Volume(
            _stack(layout, (shape[0], shape[1], shape[2]), path).to_dask(),
            voxel_size=size,
            unit=unit,
            offset=marks.offset or (0.0, 0.0, 0.0),
            **marks.fields(shape[0], path.name),
            source=str(path),
            format="OME-TIFF" if tif.is_ome else "ImageJ TIFF" if tif.is_imagej else "TIFF",
        )


def _check_pages(layout: Layout, tif: tifffile.TiffFile, path: Path) -> None:
    """All slices are stored, and grey as far as can be told without reading all."""
    first = layout.pages[0].keyframe  # itself, or that of its file in a set
    for z, page in enumerate(layout.pages):
        if page.parent is tif:  # pages in other files of a set are checked when they are read
            check_stored(page, path, f"slice {z}")
    if layout.block:
        if not first.is_final and first.imagedepth == 1:
            raise TsainError(
                f"{path.name} keeps {layout.shape[0]} slices behind one page in a form that is not "
                "known: save it as a multi-page TIFF."
            )
        size, planes = tif.filehandle.size, layout.shape[0] if first.imagedepth == 1 else 1
        if first.dataoffsets[0] + planes * first.nbytes > size and first.is_contiguous:
            raise truncated(path, f"its {layout.shape[0]} slices end beyond the end of the file")
    if first.parent is tif and first.samplesperpixel > 1:
        grey_values(first.asarray(), first, path.name)


def _stack(layout: Layout, shape: tuple[int, int, int], path: Path) -> SliceStack:
    dtype = grey_dtype(layout.pages[0].keyframe)
    if layout.block:
        return TiffBlock(path, shape, dtype)
    places: list[PageLocation] = [(_file_of(page), page.index) for page in layout.pages]
    return TiffPages(places, shape[1:], dtype)


def _file_of(page: Any) -> Path:
    return Path(page.parent.filehandle.path)
