"""The pages of a TIFF file that are images of a stack, and whether all of them are there."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import tifffile

from ..errors import TsainError, argument
from ._grey import check_map, grey_dtype
from ._guard import reading
from ._tiff_chain import page_kinds, truncated

#: Bytes that a stored byte can stand for, by compression; packed bits where there is none.
_EXPANSION = {1: 8, 8: 1100, 32946: 1100, 5: 3000, 32773: 70, 7: 3000}
_OTHER_EXPANSION = 20000
_SLACK = 1 << 16


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a file; any error in the block becomes one line.

    Raises
    ------
    TsainError
    """
    with quiet_tifffile(), reading(path.name, "TIFF"), tifffile.TiffFile(path) as tif:
        yield tif


@contextmanager
def quiet_tifffile() -> Iterator[None]:
    """Nothing in the log: what tifffile only logs is checked here."""
    log = logging.getLogger("tifffile")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def image_pages(tif: tifffile.TiffFile, path: Path) -> list[Any]:
    """All pages other than thumbnails and masks, in the order of the file.

    A page is a thumbnail if it says so, or if it has the proportions of the largest page and at
    most half its size. Pages that are like an earlier one have that as their `keyframe`, and no
    tags of their own.

    Raises
    ------
    TsainError
        If the chain of pages is broken.
    """
    pages = list(_all_pages(tif, page_kinds(tif, path)))
    if not pages:
        raise truncated(path, "it holds no image")
    height, width = max((_size(page) for page in pages), key=lambda size: size[0] * size[1])
    kept = [page for page in pages if not page.keyframe.subfiletype & 0b101] or pages
    return [page for page in kept if not _is_small_copy(_size(page), height, width)]


def _all_pages(tif: tifffile.TiffFile, kinds: list[Hashable]) -> Iterator[Any]:
    pages, first = tif.pages, dict[Hashable, int]()
    pages.useframes = True
    for index, kind in enumerate(kinds):
        pages.set_keyframe(first.setdefault(kind, index))
        page: Any = pages.keyframe if first[kind] == index else pages[index]
        if page.keyframe.shape:  # the others hold no image
            yield page


def _size(page: Any) -> tuple[int, int]:
    return int(page.keyframe.imagelength), int(page.keyframe.imagewidth)


def _is_small_copy(size: tuple[int, int], height: int, width: int) -> bool:
    h, w = size
    if 2 * h > height or 2 * w > width:
        return False
    return abs(h * width - w * height) <= max(height, width)  # a pixel of rounding


def check_alike(pages: list[Any], path: Path) -> None:
    """Refuse pages that are no slices of one stack.

    Raises
    ------
    TsainError
    """
    keys = list(dict.fromkeys(page.keyframe for page in pages))
    for page in keys:
        if page.dtype is None:
            raise TsainError(
                f"{path.name} holds values of {page.bitspersample} bits (page {page.index}); "
                "convert it to 8 or 16 bits."
            )
        check_map(page, f"Page {page.index} of {path.name}")
    kinds = list(dict.fromkeys((page.shape, grey_dtype(page)) for page in keys))
    if len(kinds) > 1:
        found = " and ".join(f"{' x '.join(map(str, shape))} {dtype}" for shape, dtype in kinds[:2])
        raise TsainError(
            f"{path.name} holds images of different sizes or dtypes ({found}); a stack has one "
            "size and dtype: save its slices with one size and dtype."
        )


def check_stored(page: Any, path: Path, what: str) -> None:
    """Refuse a page whose data are not all in its file, before anything is allocated for it.

    Raises
    ------
    TsainError
    """
    size, kind = page.parent.filehandle.size, page.keyframe
    offsets, counts = page.dataoffsets, page.databytecounts
    parts, stored = prod(kind.chunked), min(len(offsets), len(counts))
    offsets, counts = offsets[: min(parts, stored)], counts[: min(parts, stored)]
    written = sum(1 for o, n in zip(offsets, counts, strict=True) if o > 0 and n > 0)
    if written < parts:
        raise TsainError(
            f"{path.name} has gaps: {parts - written} of the {parts} parts of {what} were never "
            "written. Every slice is required: write the file again, or fill the gap with a copy "
            f"of the slice before and recompute it with {argument('replace')}."
        )
    if kind.is_contiguous:
        last = offsets[0] + kind.nbytes
    else:
        last = max(o + n for o, n in zip(offsets, counts, strict=True))
    if last > size:
        raise truncated(path, f"{what} ends beyond the end of the file")
    # tiles are decompressed one by one, and may be larger than the image
    part = prod(kind.chunks) * kind.dtype.itemsize
    most = sum(counts) * _EXPANSION.get(int(kind.compression), _OTHER_EXPANSION)
    if max(kind.nbytes, part) > most + _SLACK:
        found = " x ".join(map(str, kind.shape))
        raise truncated(path, f"{what} is {found}, but only {sum(counts)} bytes are stored")
