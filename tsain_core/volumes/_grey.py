"""Stored values as the grey values that are meant: photometric, colour maps, alpha, R = G = B."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import PHOTOMETRIC

from ..errors import TsainError

_PHOTOMETRIC_TAG = 262
_OF_GREY = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
_REMEDY = "convert it to 8-bit grey (in ImageJ: Image > Type > 8-bit)"


def grey_dtype(page: Any) -> np.dtype[Any]:
    """The dtype of `grey_values`, in this machine's byte order."""
    if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        return np.dtype(np.uint8 if page.colormap.shape[1] <= 256 else np.uint16)
    return np.dtype(page.dtype).newbyteorder("=")


def grey_values(stored: NDArray[Any], page: Any, title: str) -> NDArray[Any]:
    """Values of a TIFF page as its photometric interpretation shows them, 0 being black.

    Parameters
    ----------
    stored : array (..., y, x), (..., y, x, samples) or (..., samples, y, x)
        As the page holds them.
    page : tifffile.TiffPage
    title : str
        For messages.

    Returns
    -------
    array (..., y, x)
        Integers under WhiteIsZero are mirrored in their range; float32, which has none, at 0.

    Raises
    ------
    TsainError
        If it is a colour image, or partly transparent.
    """
    meaning = page.photometric if _PHOTOMETRIC_TAG in page.tags else PHOTOMETRIC.MINISBLACK
    if meaning == PHOTOMETRIC.PALETTE:
        check_map(page, title)
        return _through_map(stored, page.colormap[0])
    if page.samplesperpixel > 1:
        if meaning not in _OF_GREY:
            raise TsainError(f"{title} is a colour image; a grey stack is required: {_REMEDY}.")
        samples_last = page.planarconfig == 1 or stored.ndim < 3
        stored = stored if samples_last else np.moveaxis(stored, -3, -1)
        stored = one_grey(stored, title)
    return _mirrored(stored, page.bitspersample) if meaning == PHOTOMETRIC.MINISWHITE else stored


def one_grey(image: NDArray[Any], title: str) -> NDArray[Any]:
    """Grey of an image (y, x, samples): grey and alpha, R = G = B, or these and alpha.

    Raises
    ------
    TsainError
        If it is a colour image, or partly transparent.
    """
    samples = image.shape[-1]
    if samples in (2, 4):
        opaque = np.iinfo(image.dtype).max if image.dtype.kind in "iu" else 1
        if not (image[..., -1] == opaque).all():
            raise TsainError(
                f"{title} is partly transparent; an opaque grey image is required: remove its "
                "alpha channel."
            )
    if samples > 4 or (samples > 2 and (image[..., :1] != image[..., 1:3]).any()):
        raise TsainError(
            f"{title} is a colour image ({samples} samples a pixel); a grey image is required: "
            f"{_REMEDY}, or, if these are slices of a stack, save each as a grey page."
        )
    return image[..., 0]


def _mirrored(values: NDArray[Any], bits: int) -> NDArray[Any]:
    if values.dtype.kind == "u":
        return np.asarray((1 << bits) - 1 - values, values.dtype)
    return np.invert(values) if values.dtype.kind in "ib" else -values


def check_map(page: Any, title: str) -> None:
    """Refuse a TIFF page with a colour map that is not grey, or with none where it needs one.

    Raises
    ------
    TsainError
    """
    if page.photometric != PHOTOMETRIC.PALETTE:
        return
    colours = page.colormap
    if colours is None or (colours != colours[0]).any():
        found = "has no colour map" if colours is None else "is shown in colours by its colour map"
        raise TsainError(
            f"{title} {found}; a grey map is required: convert it (in ImageJ: Image > Lookup "
            "Tables > Grays) and save it again."
        )


def _through_map(indices: NDArray[Any], grey: NDArray[Any]) -> NDArray[Any]:
    if grey.size > 256:
        return np.asarray(grey, np.uint16)[indices]
    # colours have 16 bits, but some programs write 8
    return np.asarray(grey if grey.max(initial=0) <= 255 else grey >> 8, np.uint8)[indices]
