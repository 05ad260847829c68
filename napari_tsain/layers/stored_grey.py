"""Plain TIFF files are opened by napari, which shows what is stored, not what it stands for."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from .provenance import stated_marks

_ENDINGS = (".tif", ".tiff")


def stored_grey_note(layer: Any) -> str:
    """Why the grey values of a layer are others than its file means; empty if they are the same.

    Parameters
    ----------
    layer : napari.layers.Image
        One that our reader has opened has the values that are meant.
    """
    path = getattr(layer.source, "path", None)
    if not path or stated_marks(layer).source or not str(path).lower().endswith(_ENDINGS):
        return ""
    meaning = _meaning(str(path))
    if not meaning:
        return ""
    return (
        f"{Path(path).name} {meaning}, which napari's own reader ignores: the picture and what is "
        "computed from it are other than meant. The command line reads it as meant (Copy as "
        "command); or convert it to 8-bit grey in Fiji."
    )


@lru_cache(maxsize=64)
def _meaning(path: str) -> str:
    import tifffile

    try:
        if not Path(path).is_file():
            return ""
        with tifffile.TiffFile(path) as tif:
            photometric = tif.pages.first.photometric
    except Exception:  # a damaged file is the reader's business
        return ""
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        return "says that 0 is white"
    if photometric == tifffile.PHOTOMETRIC.PALETTE:
        return "has a colour map"
    return ""
