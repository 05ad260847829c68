"""Gatan DigitalMicrograph's DM3 and DM4: stacks, and single slices as 3View writes them."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TsainError
from ._axes import stack_order
from ._guard import reading, require_regular
from ._mapped import MappedArray, to_dask
from ._optional import extra_for
from ._units import normal_unit, offset_in, voxel_size_of
from .volume import Volume

SUFFIXES = (".dm3", ".dm4")

#: DigitalMicrograph's numbers of data types; those of colour and of packed complex are left out.
_DTYPES = {
    1: "<i2",
    2: "<f4",
    3: "<c8",
    6: "u1",
    7: "<i4",
    9: "i1",
    10: "<u2",
    11: "<u4",
    12: "<f8",
    13: "<c16",
    14: "?",
}
_COLOUR = 23
_IMAGE = re.compile(r"\.ImageList\.(\d+)\.ImageData\.(.+)")


@dataclass(frozen=True)
class DmImage:
    """Where the values of an image lie, and what is known of its axes, the slowest first."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    scales: tuple[Any, ...]
    units: tuple[str | None, ...]
    origins: tuple[Any, ...]

    def values(self, path: Path) -> MappedArray:
        """The array in its file."""
        return MappedArray(path, self.dtype, self.shape, self.start, "DM")


def read_dm(path: Path) -> Volume:
    """Open a stack of DigitalMicrograph, memory-mapped.

    Raises
    ------
    TsainError
        If ncempy is not installed, or the file is damaged or no grey stack.
    """
    image = dm_image(path)
    names = ("z", "y", "x") if len(image.shape) == 3 else ()
    order = stack_order(names, image.shape, image.dtype, path.name)
    units = [image.units[axis] for axis in order]
    size, unit = voxel_size_of([image.scales[axis] for axis in order], units)
    return Volume(
        to_dask(image.values(path), image.shape, image.dtype, order),
        voxel_size=size,
        unit=unit,
        offset=offset_in([_place(image, axis) for axis in order], units, unit),
        source=str(path),
        format=f"Gatan {path.suffix[1:].upper()}",
    )


def dm_image(path: Path) -> DmImage:
    """The image that a file holds beside its thumbnail, from its tags; no values are read.

    Raises
    ------
    TsainError
        As `read_dm`.
    """
    with extra_for(path.name, "DigitalMicrograph", "dm"):
        from ncempy.io.dm import fileDM
    require_regular(path)
    # the library prints what it does not like
    with reading(path.name, "DM"), redirect_stdout(io.StringIO()):
        with fileDM(str(path), on_memory=False) as file:
            tags = dict(file.allTags)
        images: dict[int, dict[str, Any]] = defaultdict(dict)
        for name, value in tags.items():
            if found := _IMAGE.fullmatch(name):
                images[int(found[1])][found[2]] = value
        return _chosen([_image(image) for image in images.values() if "DataType" in image], path)


def _image(tags: Mapping[str, Any]) -> DmImage | None:
    kind = int(tags["DataType"])
    if kind == _COLOUR or "Data.arrayOffset" not in tags:
        return None
    axes = range(1, 1 + sum(f"Dimensions.{n}" in tags for n in range(1, 8)))
    of = [{key: tags.get(f"Calibrations.Dimension.{n}.{key}") for key in _AXIS} for n in axes][::-1]
    return DmImage(
        np.dtype(_DTYPES.get(kind, "V1")),
        tuple(int(tags[f"Dimensions.{n}"]) for n in axes)[::-1],
        int(tags["Data.arrayOffset"]),
        tuple(_shortest(axis["Scale"]) for axis in of),
        tuple(normal_unit(axis["Units"]) for axis in of),
        tuple(_shortest(axis["Origin"]) for axis in of),
    )


_AXIS = ("Scale", "Units", "Origin")


def _chosen(images: list[DmImage | None], path: Path) -> DmImage:
    grey = [image for image in images if image is not None and image.shape]
    deep = [image for image in grey if len([n for n in image.shape if n > 1]) > 2]
    found = deep or grey
    if not found:
        raise TsainError(
            f"{path.name} holds no grey image{', only colour' if images else ''}; a grey image or "
            "stack is required: save it again in DigitalMicrograph."
        )
    if len(found) > 1:
        sizes = ", ".join(" x ".join(map(str, image.shape)) for image in found)
        raise TsainError(
            f"{path.name} holds {len(found)} images ({sizes}); one is required: save the one that "
            "is meant as a file of its own."
        )
    return found[0]


def _shortest(value: Any) -> Any:
    """A number as it was typed: 0.004, not the nearest single-precision 0.0040000002."""
    return float(str(value)) if isinstance(value, np.floating) else value


def _place(image: DmImage, axis: int) -> Any:
    """Position of the first voxel: the origin is the voxel at 0."""
    origin, scale = image.origins[axis], image.scales[axis]
    return None if origin is None or scale is None else -origin * scale
