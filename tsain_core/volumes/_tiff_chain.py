"""The chain of pages of a TIFF file, followed to its end without reading the pages."""

from __future__ import annotations

import struct
from collections.abc import Hashable
from pathlib import Path

import tifffile

from ..errors import TsainError

_MOST_TAGS = 4096

#: Tags that say how a page is stored and what its values mean; not where, and not in words.
_TAGS = frozenset(
    (254, 255, 256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 320, 322, 323, 338, 339, 32997)
)


def page_kinds(tif: tifffile.TiffFile, path: Path) -> list[Hashable]:
    """What each page is like; pages of equal kinds are stored in the same way.

    tifffile follows some broken chains without end.

    Raises
    ------
    TsainError
        If the chain leads out of the file or in a circle.
    """
    file, tiff = tif.filehandle, tif.tiff
    # tag, type, count, and the value or where it is: long ones lie at a place of their own
    entry = struct.Struct(f"{tiff.byteorder}HHQ8s" if tiff.is_bigtiff else f"{tiff.byteorder}HHI4s")
    order = "little" if tiff.byteorder == "<" else "big"
    file.seek(8 if tiff.is_bigtiff else 4)
    field = file.read(tiff.offsetsize)
    kinds: dict[int, Hashable] = {}
    while offset := int.from_bytes(field, order):  # type: ignore[arg-type]
        if offset in kinds:
            raise truncated(path, f"after page {len(kinds) - 1} comes an earlier one again")
        if offset >= file.size:
            raise truncated(path, f"page {len(kinds)} lies beyond the end of the file")
        file.seek(offset)
        count = int.from_bytes(file.read(tiff.tagnosize), order)  # type: ignore[arg-type]
        if count > _MOST_TAGS:
            raise truncated(path, f"page {len(kinds)} has {count} tags")
        content = file.read(count * entry.size + tiff.offsetsize)
        field = content[count * entry.size :]
        if len(field) < tiff.offsetsize:
            raise truncated(path, f"page {len(kinds)} ends beyond the end of the file")
        tags = entry.iter_unpack(content[: count * entry.size])
        kinds[offset] = tuple(tag for tag in tags if tag[0] in _TAGS)
    return list(kinds.values())


def truncated(path: Path, reason: str) -> TsainError:
    """The error for a file that ends too early, or is broken."""
    return TsainError(
        f"{path.name} is damaged or truncated: {reason}. The complete file is required: copy it "
        "again."
    )
