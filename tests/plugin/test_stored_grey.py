"""TIFF files that mean other grey values than they store, opened by napari itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_tsain.io import layer_data
from napari_tsain.layers.stored_grey import stored_grey_note

STACK = np.random.default_rng(0).integers(0, 255, (4, 24, 20), np.uint8)
_MAP = np.stack([np.arange(256, dtype=np.uint16)[::-1] * 257] * 3)
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "black.tif": ({"photometric": "minisblack"}, ""),
    "white.tif": ({"photometric": "miniswhite"}, "0 is white"),
    "white.tiff": ({"photometric": "miniswhite", "compression": "zlib"}, "0 is white"),
    "map.tif": ({"photometric": "palette", "colormap": _MAP}, "colour map"),
}


@pytest.fixture(autouse=True, scope="module")
def readers() -> None:
    """Those of napari, as in a window."""
    from napari.plugins import _initialize_plugins

    _initialize_plugins()


@pytest.mark.parametrize("name", KINDS)
def test_the_dock_says_so(tmp_path: Path, name: str) -> None:
    options, said = KINDS[name]
    tifffile.imwrite(tmp_path / name, STACK, **options)
    (layer,) = ViewerModel().open(tmp_path / name, plugin="napari")
    note = stored_grey_note(layer)
    assert (said in note and name in note) if said else note == ""


def test_our_reader_needs_no_note(tmp_path: Path) -> None:
    path = tmp_path / "white.ome.tif"
    tifffile.imwrite(path, STACK, photometric="miniswhite", metadata={"axes": "ZYX"})
    data, attributes, _ = layer_data(path)
    layer = ViewerModel().add_image(data, **attributes)
    np.testing.assert_array_equal(np.asarray(layer.data), 255 - STACK)
    assert stored_grey_note(layer) == ""


def test_layers_of_no_file(tmp_path: Path) -> None:
    viewer = ViewerModel()
    assert stored_grey_note(viewer.add_image(STACK)) == ""
    tifffile.imwrite(tmp_path / "gone.tif", STACK, photometric="miniswhite")
    (layer,) = viewer.open(tmp_path / "gone.tif", plugin="napari")
    (tmp_path / "gone.tif").unlink()
    assert stored_grey_note(layer) == ""
