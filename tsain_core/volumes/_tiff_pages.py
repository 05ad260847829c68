"""The pages of a TIFF file that are images of a stack, and whether all of them are there."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..errors import TsainError, argument
from ._grey import check_map, grey_dtype
from ._guard import reading

_MOST_TAGS = 4096

#: Bytes that a stored byte can stand for, by compression; packed bits where there is none.
_EXPANSION = {1: 8, 8: 1100, 32946: 1100, 5: 3000, 32773: 70, 7: 3000}
_OTHER_EXPANSION = 20000
_SLACK = 1 << 16


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a file whose chain of pages is whole; any error in the block becomes one line.

    Raises
    ------
    TsainError
    """
    with quiet_tifffile(), reading(path.name, "TIFF"):
        check_chain(path)
        with tifffile.TiffFile(path) as tif:
            if not len(tif.pages):
                raise truncated(path, "it holds no image")
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


def check_chain(path: Path) -> None:
    """Follow the chain of pages to its end, which tifffile does not always find.

    Raises
    ------
    TsainError
        If it leads out of the file or in a circle.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            return  # no TIFF: tifffile says so
        big = struct.unpack(f"{order}H", head[2:4])[0] == 43
        number, pointer, entry = (8, 8, 20) if big else (2, 4, 12)
        field = head[8:16] if big else head[4:8]
        seen: set[int] = set()
        while True:
            if len(field) < pointer:
                raise truncated(path, f"page {len(seen) - 1} ends beyond the end of the file")
            offset = _integer(field, order)
            if offset == 0:
                return
            if offset in seen:
                raise truncated(path, f"after page {len(seen) - 1} comes an earlier one again")
            if offset >= size:
                raise truncated(path, f"page {len(seen)} lies beyond the end of the file")
            seen.add(offset)
            file.seek(offset)
            tags = _integer(file.read(number), order)
            if tags > _MOST_TAGS:
                raise truncated(path, f"page {len(seen) - 1} has {tags} tags")
            file.seek(tags * entry, 1)
            field = file.read(pointer)


def _integer(field: bytes, order: str) -> int:
    return int.from_bytes(field, "little" if order == "<" else "big")


def image_pages(tif: tifffile.TiffFile) -> list[Any]:
    """All pages other than thumbnails and masks, in the order of the file.

    A page is a thumbnail if it says so, or if it has the proportions of the largest page and at
    most half its size.
    """
    pages = list(_all_pages(tif))
    height, width = max((_size(page) for page in pages), key=lambda size: size[0] * size[1])
    kept = [page for page in pages if not page.subfiletype & 0b101] or pages
    return [page for page in kept if not _is_small_copy(_size(page), height, width)]


def _all_pages(tif: tifffile.TiffFile) -> Iterator[Any]:
    tif.pages.useframes = False  # each page has tags of its own, which may differ
    for index in range(len(tif.pages)):
        page = tif.pages[index]
        if page.shape:  # the others hold no image
            yield page


def _size(page: Any) -> tuple[int, int]:
    return int(page.imagelength), int(page.imagewidth)


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
    for index, page in enumerate(pages):
        if page.dtype is None:
            raise TsainError(
                f"{path.name} holds values of {page.bitspersample} bits (page {index}); convert it "
                "to 8 or 16 bits."
            )
        check_map(page, f"Page {index} of {path.name}")
    kinds = list(dict.fromkeys((page.shape, grey_dtype(page)) for page in pages))
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
    size = page.parent.filehandle.size
    offsets, counts = (np.array(n, np.int64) for n in (page.dataoffsets, page.databytecounts))
    parts, stored = prod(page.chunked), min(len(offsets), len(counts))
    offsets, counts = offsets[:parts], counts[:parts]
    missing = max(parts - stored, 0) + int(((offsets[:stored] <= 0) | (counts[:stored] <= 0)).sum())
    if missing:
        raise TsainError(
            f"{path.name} has gaps: {missing} of the {parts} parts of {what} were never written. "
            "Every slice is required: write the file again, or fill the gap with a copy of the "
            f"slice before and recompute it with {argument('replace')}."
        )
    if page.is_contiguous:
        offsets, counts = offsets[:1], np.array([page.nbytes])
    if (offsets + counts > size).any():
        raise truncated(path, f"{what} ends beyond the end of the file")
    # tiles are decompressed one by one, and may be larger than the image
    part = prod(page.chunks) * page.dtype.itemsize
    most = int(page.databytecounts[0] if parts == 1 else counts.sum())
    most *= _EXPANSION.get(int(page.compression), _OTHER_EXPANSION)
    if max(page.nbytes, part) > most + _SLACK:
        found = " x ".join(map(str, page.shape))
        raise truncated(path, f"{what} is {found}, but only {counts.sum()} bytes are stored")


def truncated(path: Path, reason: str) -> TsainError:
    """The error for a file that ends too early, or is broken."""
    return TsainError(
        f"{path.name} is damaged or truncated: {reason}. The complete file is required: copy it "
        "again."
    )
