"""Single PNG images as grey values."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ._grey import one_grey

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EXPANSION = 1100  # bytes that a byte of deflate can stand for
_SLACK = 1 << 16
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def png_header(path: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Height and width, and the dtype of grey values, without reading the pixels.

    Raises
    ------
    TsainError
        If it is no PNG, or too short for what it says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or head[:8] != _SIGNATURE or head[12:16] != b"IHDR":
        raise TsainError(f"{path.name} is no PNG image, or incomplete: copy it again.")
    width, height, bits, colour = struct.unpack(">IIBB", head[16:26])
    needed = width * height * _SAMPLES.get(colour, 1) * bits // 8
    if not needed or needed > size * _EXPANSION + _SLACK:
        raise TsainError(
            f"{path.name} says that it has {height} x {width} pixels, but holds {size} bytes: "
            "copy it again."
        )
    dtype = np.uint16 if bits == 16 else np.bool_ if bits == 1 and colour == 0 else np.uint8
    return (height, width), np.dtype(dtype)


def read_png(path: Path) -> NDArray[Any]:
    """Grey values (y, x); grey palettes, R = G = B and opaque alpha are taken for what they show.

    Raises
    ------
    TsainError
        If it is a colour image, or partly transparent.
    """
    _, dtype = png_header(path)
    image = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    grey = image if image.ndim == 2 else one_grey(image, path.name)
    return np.asarray(grey, dtype)
