"""Label images in an OME-Zarr, as OME-NGFF has them: `labels/NAME`, beside the levels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import zarr

from .zarr_layout import OmeVersion

#: The group that holds them.
LABELS = "labels"
_IMAGE = "../../"  # from a label image to the image that it belongs to
_KEY = "image-label"


def label_name(source: str) -> str:
    """A name for labels from that of their file, dataset or layer: "cells" of "seg/cells.ome.tif".

    Of a level of a pyramid, which has a number, it is the name of the image.
    """
    parts = [part for part in re.split(r"[/\\]", source) if part] or [LABELS]
    last = parts[-2] if parts[-1].isdigit() and len(parts) > 1 else parts[-1]
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", last.partition(".")[0] or last)
    return name.strip("_") or LABELS


def write_label_metadata(folder: Path, names: Sequence[str], version: OmeVersion) -> None:
    """Make images in a folder the label images of the image that the folder lies in.

    Parameters
    ----------
    folder : Path
        What is, or becomes, the group "labels" of an image.
    names : sequence of str
        Of OME-Zarr images in it.
    version : "0.4" or "0.5"
        Of OME-Zarr.
    """
    zarr_format: Literal[2, 3] = 3 if version == "0.5" else 2
    for name in names:
        image = zarr.open_group(str(folder / name), mode="r+")
        about = {"version": version} if version == "0.4" else {}
        _add(image, version, {_KEY: {**about, "source": {"image": _IMAGE}}})
    group = zarr.open_group(str(folder), mode="a", zarr_format=zarr_format)
    _add(group, version, {LABELS: list(names)})


def _add(group: zarr.Group, version: OmeVersion, values: dict[str, Any]) -> None:
    if version == "0.4":
        group.attrs.update(values)
    else:
        old: dict[str, Any] = dict(group.attrs).get("ome", {})  # type: ignore[assignment]
        group.attrs["ome"] = {"version": version, **old, **values}


def _ome(node: Any) -> Mapping[str, Any]:
    """What OME-Zarr says of a group: 0.5 within "ome", 0.4 among its attributes."""
    attributes = dict(node.attrs)
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, dict) else {}


def is_label_image(node: Any) -> bool:
    """Whether a group says that it is a label image."""
    return _KEY in _ome(node)


def label_names(group: Any) -> list[str]:
    """Names of the label images of an image that is open; empty where there are none."""
    labels = group.get(LABELS)
    names = _ome(labels).get(LABELS) if isinstance(labels, zarr.Group) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
