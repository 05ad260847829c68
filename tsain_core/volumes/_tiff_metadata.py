"""What a TIFF says of its voxels: OME-XML, or ImageJ's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tifffile

from ._marks import MARKS_KEY, Marks, read_marks
from ._units import in_one_unit, normal_unit
from .volume import Triple


def tiff_metadata(tif: tifffile.TiffFile, path: Path) -> tuple[Triple | None, str | None, Marks]:
    """Voxel size, unit, and our marks."""
    if tif.is_ome and tif.ome_metadata:
        return _ome_metadata(tif.ome_metadata, path)
    imagej = tif.imagej_metadata
    if not imagej:
        return None, None, Marks()
    y, x = (_pixel_size(tif, tag) for tag in ("YResolution", "XResolution"))
    unit = normal_unit(imagej.get("unit"))
    if x is None or y is None or unit is None:
        return None, unit, Marks()
    return (float(imagej.get("spacing", 1.0)), y, x), unit, Marks()


def _pixel_size(tif: tifffile.TiffFile, tag: str) -> float | None:
    value = tif.pages[0].tags.get(tag)  # type: ignore[union-attr]
    if value is None or not value.value[0]:
        return None
    return float(value.value[1] / value.value[0])


def _ome_metadata(xml: str, path: Path) -> tuple[Triple | None, str | None, Marks]:
    ome = tifffile.xml2dict(xml)["OME"]
    pixels = _as_list(ome["Image"])[0]["Pixels"]
    sizes = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    units = [normal_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"]
    notes = _as_list(ome.get("StructuredAnnotations", {}).get("CommentAnnotation"))
    texts = [note["Value"] for note in notes if note.get("Namespace") == MARKS_KEY]
    marks = read_marks(texts[0] if texts else None, path.name)
    if None in sizes or (known := in_one_unit([float(s) for s in sizes], units)) is None:
        return None, None, marks
    (z, y, x), unit = known
    return (z, y, x), unit, marks


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
