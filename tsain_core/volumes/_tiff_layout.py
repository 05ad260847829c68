"""Which pages of a TIFF file are the slices, in which order: by its description, or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import tifffile

from ..errors import TsainError, warn
from ._tiff_chain import truncated
from ._tiff_metadata import check_named_files
from ._tiff_pages import check_alike, image_pages

_DEPTH_AXES = ("Z", "Q", "I", "")

#: Series that follow a description of the pages: by ImageJ, OME and tifffile, and by microscopes.
_DESCRIBED = ("imagej", "ome", "shaped", "mmstack", "stk", "lsm", "fluoview", "scanimage")


@dataclass(frozen=True)
class Layout:
    """Where the slices lie.

    Attributes
    ----------
    axes : str
        A letter each, as tifffile names them, without those of length 1.
    shape : tuple of int
    pages : list of tifffile pages
        One a slice, or the only one.
    block : bool
        All slices lie behind the only page, or in it.
    """

    axes: str
    shape: tuple[int, ...]
    pages: list[Any]
    block: bool = False


def find_slices(tif: tifffile.TiffFile, path: Path) -> Layout:
    """The slices of an open file.

    Raises
    ------
    TsainError
        If it holds several stacks, pages that do not fit together, or fewer than it says.
    """
    check_named_files(tif, path)
    pages = image_pages(tif, path)
    size = pages[0].shape
    # looking for series takes its time, and reads all pages where nothing is said of them
    found = tif.series if any(getattr(tif, f"is_{kind}") for kind in _DESCRIBED) else []
    series = [s for s in found if s.kind in _DESCRIBED and s.keyframe.shape == size]
    several = len(series) > 1
    if several and any(s.size > pages[0].size for s in series):
        shape = " x ".join(str(n) for n in series[0].shape)
        raise TsainError(
            f"{path.name} holds {len(series)} images of {shape}; expected one stack: save the "
            "one that is meant as a file of its own."
        )
    described = None if several or not series else _described(series[0], pages, path)
    return described or _page_by_page(tif, pages, path)


def _described(series: Any, pages: list[Any], path: Path) -> Layout | None:
    """By the description; None where there are more pages than it says."""
    shape, axes = _squeeze(series.get_shape(False), series.get_axes(False))
    count, found = series.size // pages[0].size, len(pages)
    first = pages[0].keyframe
    plane = (first.imagelength, first.imagewidth)
    if axes.endswith("YX") and shape[-2:] != plane:
        raise TsainError(
            f"{path.name} says that it has {' x '.join(map(str, shape))} values, but its pages are "
            f"{' x '.join(map(str, plane))}: save it again as a stack of pages."
        )
    if count < found and axes.partition("Y")[0].replace("S", "") in _DEPTH_AXES:
        if count > 1:
            warn(
                f"{path.name} says that it has {count} slices, but has {found} pages: all are read."
            )
        return None
    own = _with_own_tags(series.pages, pages)
    if missing := [str(z) for z, page in enumerate(own) if page is None]:
        raise TsainError(
            f"{path.name} has gaps: slices {', '.join(missing[:20])} are not there. Every slice is "
            "required: put the files of the set beside it, or write it again."
        )
    check_alike([page for page in own if page.parent is pages[0].parent], path)
    if len(own) == 1 and found == 1 and count > 1:
        return Layout(axes, shape, pages, block=True)
    if len(own) == 1 and found == count:  # the pages follow one another
        return Layout(axes, shape, pages)
    if len(own) == count:
        return Layout(axes, shape, own)
    raise truncated(path, f"it says that it has {count} slices, but has {found} pages")


def _with_own_tags(series: Sequence[Any], pages: list[Any]) -> list[Any]:
    """Pages of a series, which may lack tags of their own, as the same pages of this file."""
    parent, by_index = pages[0].parent, {page.index: page for page in pages}
    return [
        by_index.get(page.index, page) if page is not None and page.parent is parent else page
        for page in series
    ]


def _page_by_page(tif: tifffile.TiffFile, pages: list[Any], path: Path) -> Layout:
    check_alike(pages, path)
    says = tif.imagej_metadata or {}
    claimed = max(
        prod(int(says.get(key, 1)) for key in ("channels", "slices", "frames")),
        int(says.get("images", 1)),
    )
    if claimed > len(pages):
        raise truncated(path, f"it says that it has {claimed} slices, but has {len(pages)} pages")
    first = pages[0].keyframe
    if len(pages) == 1:
        return Layout(first.axes, first.shape, pages, block=first.imagedepth > 1)
    return Layout(f"I{first.axes}", (len(pages), *first.shape), pages)


def _squeeze(shape: tuple[int, ...], axes: str) -> tuple[tuple[int, ...], str]:
    """Drop axes of length 1 other than y and x; z stays where no other axis is left beside them."""
    kept = [k for k in zip(shape, axes, strict=True) if k[0] != 1 or k[1] in "ZYX"]
    if len(kept) > 3:
        kept = [k for k in kept if k[0] != 1 or k[1] in "YX"]
    return tuple(k[0] for k in kept), "".join(k[1] for k in kept)
