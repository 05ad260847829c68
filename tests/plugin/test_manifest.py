"""The plugin's manifest: valid, light to discover, and true about what it names."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest

from napari_tsain.sample_data import em_phantom_layer
from support import REPOSITORY

_DISCOVERY = """
import sys
from typing import Any
import napari_tsain
from npe2 import PluginManifest
PluginManifest.from_file(sys.argv[1])
heavy = {"torch", "torchvision", "numba", "cv2", "matplotlib", "napari", "qtpy"} & set(sys.modules)
sys.exit(f"imported on discovery: {sorted(heavy)}" if heavy else 0)
"""


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_file(REPOSITORY / "napari.yaml")


def test_npe2_finds_no_fault() -> None:
    command = [sys.executable, "-m", "npe2", "validate", str(REPOSITORY / "napari.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_python_name_imports(manifest: PluginManifest) -> None:
    assert manifest.contributions.commands
    manifest.validate_imports()


def test_every_contribution_has_its_command(manifest: PluginManifest) -> None:
    contributions = manifest.contributions
    known = {command.id for command in contributions.commands or ()}
    kinds = ("widgets", "readers", "writers", "sample_data")
    used = {item.command for kind in kinds for item in getattr(contributions, kind)}
    in_menus = {item.command for items in contributions.menus.values() for item in items}
    assert used | in_menus == known


def test_docks_are_in_the_menus_where_users_look(manifest: PluginManifest) -> None:
    menus = {
        name: [item.command for item in items]
        for name, items in manifest.contributions.menus.items()
    }
    assert menus["napari/layers/transform"] == [
        "napari-tsain.interpolate",
        "napari-tsain.finetune",
    ]
    assert menus["napari/layers/visualize"] == ["napari-tsain.sampling"]
    widgets = [widget.display_name for widget in manifest.contributions.widgets]
    assert widgets == ["Interpolate slices", "Sampling offsets", "Fine-tune interpolation"]


def test_discovery_is_light() -> None:
    command = [sys.executable, "-c", _DISCOVERY, str(REPOSITORY / "napari.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def phantom() -> Any:
    """Data, attributes and kind of the layer."""
    (layer,) = em_phantom_layer()
    return layer


def test_phantom_layer_carries_its_geometry(phantom: Any) -> None:
    data, attributes, kind = phantom
    assert kind == "image"
    assert data.ndim == 3 and data.dtype == np.uint8
    assert len(attributes["scale"]) == len(attributes["units"]) == data.ndim
    assert attributes["scale"][0] > attributes["scale"][1] == attributes["scale"][2]


def test_napari_takes_the_phantom_layer(phantom: Any) -> None:
    layers = pytest.importorskip("napari.layers", reason="napari is not installed")
    layer = layers.Layer.create(*phantom)
    assert layer.axis_labels == ("z", "y", "x")
    assert tuple(layer.scale) == (40.0, 5.0, 5.0)
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
