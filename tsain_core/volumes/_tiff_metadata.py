"""What a TIFF says of its voxels and of other files: OME-XML, or ImageJ's own description."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile

from ..errors import TsainError
from ._guard import require_regular
from ._marks import MARKS_KEY, Marks, read_marks
from ._units import normal_unit, voxel_size_of
from .volume import VoxelSize


def tiff_metadata(tif: tifffile.TiffFile, path: Path) -> tuple[VoxelSize | None, str | None, Marks]:
    """Voxel size, unit, and our marks."""
    if tif.is_ome and tif.ome_metadata:
        return _ome_metadata(tif.ome_metadata, path)
    imagej = tif.imagej_metadata
    if not imagej:
        return None, None, Marks()
    unit = normal_unit(imagej.get("unit"))
    units = [normal_unit(imagej.get(f"{axis}unit", unit)) for axis in "zy"] + [unit]
    sizes = [_spacing(imagej), *(_pixel_size(tif, f"{axis}Resolution") for axis in "YX")]
    # without a unit the numbers are pixels
    size, unit = voxel_size_of([s if u else None for s, u in zip(sizes, units, strict=True)], units)
    return size, unit, Marks()


def _spacing(imagej: dict[str, Any]) -> float | None:
    """ImageJ's distance of slices; it is negative where the stack runs against the z axis."""
    spacing = imagej.get("spacing", 1.0)
    return abs(spacing) if isinstance(spacing, (int, float)) else None


def _pixel_size(tif: tifffile.TiffFile, tag: str) -> float | None:
    value = tif.pages.first.tags.valueof(tag)
    return float(value[1] / value[0]) if value and value[0] else None


def check_named_files(tif: tifffile.TiffFile, path: Path) -> None:
    """Refuse OME-XML that names files elsewhere, or what is no regular file.

    Raises
    ------
    TsainError
    """
    if not tif.ome_metadata:
        return
    for element in ElementTree.fromstring(tif.ome_metadata).iter():
        name = element.attrib.get("FileName")
        if not name or name == path.name:
            continue
        if Path(name).name != name:
            raise TsainError(
                f"{path.name} names the file {name}, which lies elsewhere; the files of a set lie "
                "in one folder: put them there and save it again."
            )
        if os.path.lexists(path.parent / name):
            require_regular(path.parent / name, path.name)


def _ome_metadata(xml: str, path: Path) -> tuple[VoxelSize | None, str | None, Marks]:
    ome = tifffile.xml2dict(xml)["OME"]
    pixels = _as_list(ome["Image"])[0]["Pixels"]
    sizes = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    units = [normal_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"]
    notes = _as_list(ome.get("StructuredAnnotations", {}).get("CommentAnnotation"))
    texts = [note["Value"] for note in notes if note.get("Namespace") == MARKS_KEY]
    marks = read_marks(texts[0] if texts else None, path.name)
    size, unit = voxel_size_of(sizes, units)
    return size, unit, marks


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
