"""OME-Zarr as it is written: arrays of a pyramid, and the metadata that name them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

from ..errors import TsainError, argument
from ..system.records import Record
from ._locations import Location
from ._marks import MARKS_KEY, Marks, middle_of, slice_digest
from .volume import Shape
from .writer import Target

OmeVersion = Literal["0.4", "0.5"]

_CHUNK = 512
#: Chunks of nothing but the fill value are written, too: a file that is not there is missing.
_CONFIG: Any = {"write_empty_chunks": True}
_SMALLEST = 256  # side below which no further level is made


@dataclass(frozen=True)
class ZarrLayout(Record):
    """How an OME-Zarr is stored.

    Attributes
    ----------
    version : "0.4" or "0.5"
        Of OME-Zarr, in Zarr v2 or v3.
    chunks : (z, y, x)
        What is compressed together.
    shards : (z, y, x) or None
        What lies in one file together, multiples of `chunks`; None gives each chunk a file. Only
        in version 0.5.
    pyramid : bool
        Whether there are coarser levels: each halves y and x by the mean; z stays, because it is
        the coarsest axis.
    compression : int
        Level of zstd in Blosc, 0 (none) to 9.
    """

    version: OmeVersion
    chunks: Shape = (1, _CHUNK, _CHUNK)
    shards: Shape | None = None
    pyramid: bool = True
    compression: int = 3

    def __post_init__(self) -> None:
        sizes = (*self.chunks, *(self.shards or ()))
        if min(sizes) < 1:
            raise TsainError(
                f"Chunks or shards of {sizes}; expected sizes of at least 1 ({argument('chunks')}, "
                f"{argument('shards')})."
            )
        if not 0 <= self.compression <= 9:
            raise TsainError(
                f"The compression level is {self.compression}; choose 0 to 9 "
                f"({argument('compression')})."
            )
        if self.shards and self.version == "0.4":
            raise TsainError(
                "Zarr v2 has no shards; write OME-Zarr 0.5, or leave them out "
                f"({argument('shards')})."
            )
        if self.shards and any(s % c for s, c in zip(self.shards, self.chunks, strict=True)):
            raise TsainError(
                f"Shards of {self.shards} are cut by chunks of {self.chunks}; expected multiples "
                f"({argument('chunks')}, {argument('shards')})."
            )

    def levels(self, shape: Shape) -> list[Shape]:
        """Shapes of all levels, the finest first."""
        shapes = [shape]
        while self.pyramid and max(shapes[-1][1:]) > 2 * _SMALLEST and min(shapes[-1][1:]) > 1:
            z, y, x = shapes[-1]
            shapes.append((z, -(-y // 2), -(-x // 2)))
        return shapes

    def file_shape(self, shape: Shape) -> Shape:
        """What is written at once in an array of this shape: a shard, or a chunk."""
        if self.shards:
            return self.shards
        z, y, x = (min(c, n) for c, n in zip(self.chunks, shape, strict=True))
        return z, y, x

    def files(self, level: int, shape: Shape, box: tuple[slice, slice, slice]) -> Iterator[str]:
        """Names, below the root, of the files that hold a box of a level of this shape."""
        spans = [
            range(part.start // size, ceil(part.stop / size))
            for part, size in zip(box, self.file_shape(shape), strict=True)
        ]
        below = "c/" if self.version == "0.5" else ""
        for z, y, x in product(*spans):
            yield f"{level}/{below}{z}/{y}/{x}"


def create_arrays(root: Location, target: Target, layout: ZarrLayout) -> list[Any]:
    """The arrays "0", "1", ... of the levels, all of them empty. No group is made round them."""
    return [
        _array(f"{root}/{i}", shape, target.dtype, layout)
        for i, shape in enumerate(layout.levels(target.shape))
    ]


def open_array(root: Location, level: int, mode: Literal["r", "r+"]) -> Any:
    """The array of a level."""
    with zarr.config.set({"array.write_empty_chunks": True}):  # an array keeps what it opens with
        return zarr.open_array(f"{root}/{level}", mode=mode)


def write_metadata(root: Location, target: Target, layout: ZarrLayout) -> None:
    """Make the arrays an OME-Zarr image, with the marks of what is synthetic in it."""
    zarr_format: Literal[2, 3] = 3 if layout.version == "0.5" else 2
    group = zarr.open_group(str(root), mode="a", zarr_format=zarr_format)
    image = multiscales(target, len(layout.levels(target.shape)), layout.version)
    group.attrs.update({**image, MARKS_KEY: target.stamped_marks.to_json()})


def write_marks(root: Location, marks: Marks) -> None:
    """Write the marks of an OME-Zarr image again."""
    zarr.open_group(str(root), mode="r+").attrs[MARKS_KEY] = marks.to_json()


def computed_digests(root: Location, target: Target, layout: ZarrLayout) -> dict[int, str]:
    """Digests of the computed slices of an OME-Zarr whose arrays are complete.

    Slices that are stored together are read together.
    """
    array, computed = open_array(root, 0, "r"), set(target.marks.computed)
    deep = layout.file_shape(target.shape)[0]
    digests: dict[int, str] = {}
    for first in range(0, target.shape[0], deep):
        found = sorted(computed & set(range(first, min(first + deep, target.shape[0]))))
        if found:
            box = np.asarray(array[(slice(found[0], found[-1] + 1), *middle_of(target.shape[1:]))])
            digests |= {z: slice_digest(box[z - found[0]]) for z in found}
    return digests


def default_version() -> OmeVersion:
    """The newest version of OME-Zarr that is written."""
    return "0.5"


def halve(image: NDArray[Any]) -> NDArray[Any]:
    """Mean of 2 x 2 pixels, the edge repeated where a side is odd; dtype kept, rounded.

    NaN and infinite pixels do not count; NaN where all four are.
    """
    y, x = image.shape
    image = np.pad(image, ((0, y % 2), (0, x % 2)), mode="edge")
    # four 16-bit numbers add up exactly in 32-bit floats
    exact = np.float32 if image.dtype.itemsize <= 2 else np.float64
    total = np.zeros((image.shape[0] // 2, image.shape[1] // 2), exact)
    for corner in (image[::2, ::2], image[::2, 1::2], image[1::2, ::2], image[1::2, 1::2]):
        total += corner
    means = total / 4
    if image.dtype.kind == "f" and not np.isfinite(means).all():
        corners = np.stack([image[i::2, j::2] for i in (0, 1) for j in (0, 1)])
        finite = np.isfinite(corners)
        count = finite.sum(0)
        sums = np.where(finite, corners, 0).sum(0, dtype=exact)
        means = np.where(count, sums / np.maximum(count, 1), np.nan)
    return (np.rint(means) if image.dtype.kind in "ui" else means).astype(image.dtype)


def multiscales(target: Target, levels: int, version: OmeVersion) -> dict[str, Any]:
    """Attributes of an OME-Zarr image, for `levels` arrays "0", "1", ...

    An axis of unknown size gets the scale 1, which must be there, and no unit.
    """
    from ome_zarr_models.v04.axes import Axis
    from ome_zarr_models.v04.multiscales import Dataset, Multiscale

    sides = target.voxel_size or (None, None, None)
    datasets = []
    for i in range(levels):
        scale, translation = [], []
        for axis, side, offset in zip("zyx", sides, target.offset, strict=True):
            grown = 1 if axis == "z" else 2**i
            size = 1.0 if side is None else side
            scale.append(size * grown)
            # the centre of the first pixel moves as pixels grow
            translation.append(offset + (grown - 1) * size / 2)
        datasets.append(Dataset.build(path=str(i), scale=scale, translation=translation))
    axes = [
        Axis(name=axis, type="space", unit=target.unit if side is not None else None)
        for axis, side in zip("zyx", sides, strict=True)
    ]
    image = Multiscale(
        axes=axes,
        datasets=tuple(datasets),
        type="nearest" if target.labels else "mean",
        name=target.name or None,
        version="0.4",
    )
    if version == "0.5":
        scales = image.to_version("0.5").model_dump(mode="json", exclude_none=True)
        return {"ome": {"version": "0.5", "multiscales": [scales]}}
    return {"multiscales": [image.model_dump(mode="json", exclude_none=True)]}


def _array(path: str, shape: Shape, dtype: Any, layout: ZarrLayout) -> Any:
    chunks = tuple(min(c, n) for c, n in zip(layout.chunks, shape, strict=True))
    if layout.version == "0.5":
        from zarr.codecs import BloscCodec

        return zarr.create_array(
            path,
            shape=shape,
            dtype=dtype,
            chunks=layout.chunks if layout.shards else chunks,
            shards=layout.shards,
            compressors=BloscCodec(cname="zstd", clevel=layout.compression, shuffle="bitshuffle"),
            dimension_names=("z", "y", "x"),
            config=_CONFIG,
        )
    from numcodecs import Blosc

    blosc = Blosc(cname="zstd", clevel=layout.compression, shuffle=Blosc.BITSHUFFLE)
    return zarr.create_array(
        path,
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        compressors=blosc,
        zarr_format=2,
        chunk_key_encoding={"name": "v2", "separator": "/"},
        config=_CONFIG,
    )
