"""Writing OME-Zarr: all levels of the pyramid grow with every slice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

from ..errors import TsainError
from ._marks import MARKS_KEY
from .volume import Triple
from .writer import Target

OmeVersion = Literal["0.4", "0.5"]

#: Whether the installed zarr knows format 3; that of Python 3.10 does not.
ZARR_3 = int(zarr.__version__.split(".")[0]) >= 3

_CHUNK = 512
_SMALLEST = 256  # side below which no further level is made


class ZarrSink:
    """An OME-Zarr image; levels halve y and x by the mean, z stays: it is the coarsest axis."""

    any_order = True

    def __init__(self, path: Path, target: Target, version: OmeVersion) -> None:
        if version == "0.5" and not ZARR_3:
            raise TsainError("OME-Zarr 0.5 needs zarr 3, and that Python 3.11; write 0.4 instead.")
        shapes = [target.shape]
        while max(shapes[-1][1:]) > 2 * _SMALLEST and min(shapes[-1][1:]) > 1:
            z, y, x = shapes[-1]
            shapes.append((z, -(-y // 2), -(-x // 2)))
        group = _group(path, version)
        self._levels = [
            _array(group, str(i), shape, target.dtype, version) for i, shape in enumerate(shapes)
        ]
        scales = multiscales(target, len(shapes), path.name)
        if version == "0.5":
            group.attrs["ome"] = {"version": "0.5", "multiscales": [scales]}
        else:
            group.attrs["multiscales"] = [{"version": "0.4", **scales}]
        group.attrs[MARKS_KEY] = target.marks.to_json()

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write a slice at every level."""
        for i, level in enumerate(self._levels):
            if i:
                image = halve(image)
            level[z] = image

    def close(self) -> None:
        """Nothing is open."""


def default_version() -> OmeVersion:
    """The newest version that the installed zarr can write."""
    return "0.5" if ZARR_3 else "0.4"


def halve(image: NDArray[Any]) -> NDArray[Any]:
    """Mean of 2 x 2 pixels, the edge repeated where a side is odd; dtype kept, rounded."""
    y, x = image.shape
    image = np.pad(image, ((0, y % 2), (0, x % 2)), mode="edge")
    # four 16-bit numbers add up exactly in 32-bit floats
    exact = np.float32 if image.dtype.itemsize <= 2 else np.float64
    total = np.zeros((image.shape[0] // 2, image.shape[1] // 2), exact)
    for corner in (image[::2, ::2], image[::2, 1::2], image[1::2, ::2], image[1::2, 1::2]):
        total += corner
    means = total / 4
    return (np.rint(means) if image.dtype.kind in "ui" else means).astype(image.dtype)


def multiscales(target: Target, levels: int, name: str) -> dict[str, Any]:
    """The multiscales object of the OME-Zarr specification, for `levels` arrays "0", "1", ..."""
    size = target.voxel_size or (1.0, 1.0, 1.0)
    unit = {"unit": target.unit} if target.voxel_size and target.unit else {}
    datasets = []
    for i in range(levels):
        z, y, x = size[0], size[1] * 2**i, size[2] * 2**i
        # the centre of the first pixel moves as pixels grow
        move = (target.offset[0], *(o + (s * 2**i - s) / 2 for o, s in _plane(target.offset, size)))
        datasets.append(
            {
                "path": str(i),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [z, y, x]},
                    {"type": "translation", "translation": list(move)},
                ],
            }
        )
    return {
        "name": name,
        "axes": [{"name": axis, "type": "space", **unit} for axis in "zyx"],
        "datasets": datasets,
        "type": "mean",
    }


def _plane(offset: Triple, size: Triple) -> list[tuple[float, float]]:
    return list(zip(offset[1:], size[1:], strict=True))


def _group(path: Path, version: OmeVersion) -> Any:
    if ZARR_3:
        return zarr.create_group(str(path), zarr_format=3 if version == "0.5" else 2)
    return zarr.open_group(os.fspath(path), mode="w")


def _array(group: Any, name: str, shape: tuple[int, int, int], dtype: Any, version: str) -> Any:
    chunks = (1, min(shape[1], _CHUNK), min(shape[2], _CHUNK))
    if version == "0.5":
        from zarr.codecs import BloscCodec

        codec = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
        return group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            compressors=codec,
            dimension_names=("z", "y", "x"),
        )
    from numcodecs import Blosc

    blosc = Blosc(cname="zstd", clevel=3, shuffle=Blosc.BITSHUFFLE)
    if ZARR_3:
        return group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            compressors=blosc,
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
    return group.create_dataset(
        name, shape=shape, dtype=dtype, chunks=chunks, compressor=blosc, dimension_separator="/"
    )
