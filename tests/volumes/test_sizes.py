"""Voxel sizes as programs spell them; what none can have counts as not stated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from napari_tsain.io import layer_data
from tsain_core.cli.main import main
from tsain_core.volumes import create_volume, open_volume

STACK = np.random.default_rng(0).integers(0, 255, (5, 20, 30), np.uint8)
NM, UM = "nanometer", "micrometer"
SIZE = (40.0, 4.0, 5.0)


def hdf5(path: Path, attributes: dict[str, Any]) -> Path:
    with h5py.File(path / "a.h5", "w") as file:
        file["raw"] = STACK
        file["raw"].attrs.update(attributes)
    return path / "a.h5"


@pytest.mark.parametrize(
    ("attributes", "size", "unit"),
    [
        ({"element_size_um": (0.04, 0.004, 0.005)}, (0.04, 0.004, 0.005), UM),
        ({"element_size_um": "0.04 0.004 0.005"}, (0.04, 0.004, 0.005), UM),
        ({"voxel_size": SIZE}, SIZE, NM),
        ({"Voxel Size (nm)": SIZE}, SIZE, NM),
        ({"voxel_size_µm": SIZE}, SIZE, UM),
        ({"pixel_size": "40, 4, 5 angstrom"}, SIZE, "angstrom"),
        ({"PixelSizeX": 5, "PixelSizeY": 4, "PixelSizeZ": 40, "unit": "nm"}, SIZE, NM),
        ({"resolution": b"40 4 5"}, SIZE, NM),
        ({"resolution": "40x4x5"}, SIZE, NM),
        ({"resolution": "40 nm x 4 nm x 5 nm"}, SIZE, NM),
        ({"resolution": "[40.0, 4.0, 5.0]", "unit": "microns"}, SIZE, UM),
        ({"resolution": "z=40 y=4 x=5"}, SIZE, NM),
        ({"resolution": "x: 5 nm, y: 4 nm, z: 0.04 um"}, SIZE, NM),
        ({"resolution": '{"z": 40, "y": 4, "x": 5}'}, SIZE, NM),
        ({"resolution": np.array(["40 nm", "4 nm", "5 nm"], object)}, SIZE, NM),
        ({"resolution": SIZE, "units": np.array([b"um", b"um", b"um"])}, SIZE, UM),
        ({"resolution": SIZE, "unit": "voxel"}, SIZE, None),
        ({"resolution": "8 nm"}, (8.0, 8.0, 8.0), NM),
        ({"resolution": (0, 4, 5)}, (None, 4.0, 5.0), NM),
        ({"resolution": (np.nan, 4, 5)}, (None, 4.0, 5.0), NM),
        ({"resolution": (40, -4, np.inf)}, (40.0, None, None), NM),
        ({"resolution": "nan 4 5"}, (None, 4.0, 5.0), NM),
        ({"resolution": (0, 0, 0)}, None, None),
        ({"resolution": (1, 1, 1), "unit": "pixel"}, None, None),
        ({"resolution": "unknown"}, None, None),
        ({"resolution": (4, 4)}, None, None),
        ({"resolution": h5py.Empty("f8")}, None, None),
        ({}, None, None),
    ],
)
def test_attributes_of_hdf5(
    tmp_path: Path, attributes: dict[str, Any], size: Any, unit: str | None
) -> None:
    volume = open_volume(hdf5(tmp_path, attributes))
    assert (volume.voxel_size, volume.unit) == (size, unit)


def test_a_group_may_say_it_for_its_datasets(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/raw"] = STACK
        file["volumes"].attrs["resolution"] = SIZE
    assert open_volume(tmp_path / "a.h5").voxel_size == SIZE


def ome(path: Path, scale: list[Any], units: list[str | None]) -> Path:
    """One level, as text: what zarr would not write can be in it."""
    group = zarr.create_group(str(path / "a.zarr"), zarr_format=2)
    group.create_array("0", data=STACK)
    axes = [
        {"name": a, "type": "space", **({"unit": u} if u is not None else {})}
        for a, u in zip("zyx", units, strict=True)
    ]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    scales = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": [level]}]}
    (path / "a.zarr" / ".zattrs").write_text(json.dumps(scales))
    return path / "a.zarr"


@pytest.mark.parametrize(
    ("scale", "units", "size", "unit"),
    [
        ([0, 4, 5], [NM] * 3, (None, 4.0, 5.0), NM),
        ([float("nan"), 4, 5], [NM] * 3, (None, 4.0, 5.0), NM),
        ([-40, 4, 5], [NM] * 3, (None, 4.0, 5.0), NM),
        ([40, 4, 5], [None, NM, NM], (None, 4.0, 5.0), NM),
        ([0.04, 4, 5], ["µm", NM, "nm"], SIZE, NM),
        ([0, 0, 0], [NM] * 3, None, None),
        ([1, 1, 1], [None] * 3, None, None),
        ([1, 1, 1], ["pixel"] * 3, None, None),
        ([1, 1, 1], [NM] * 3, (1.0, 1.0, 1.0), NM),
        ([40, 4, 5], [None] * 3, SIZE, None),
        ([40, 4, 5], ["furlong"] * 3, SIZE, "furlong"),
        ([40, 4, 5], [5, [], {}], SIZE, None),
    ],
)
def test_scales_of_ome_zarr(
    tmp_path: Path, scale: list[Any], units: list[Any], size: Any, unit: str | None
) -> None:
    volume = open_volume(ome(tmp_path, scale, units))
    assert (volume.voxel_size, volume.unit) == (size, unit)


@pytest.mark.parametrize("unit", ["voxel", "none", "N/A", "mu", "furlong", "pixel", "", "a.u."])
def test_units_that_are_no_length_open_as_pixels(tmp_path: Path, unit: str) -> None:
    from napari.layers import Image

    for path in (
        hdf5(tmp_path, {"resolution": SIZE, "unit": unit}),
        ome(tmp_path, list(SIZE), [unit] * 3),
    ):
        data, attributes, _ = layer_data(path)
        layer = Image(data, **attributes)
        assert [str(u) for u in layer.units] == ["pixel"] * 3
        np.testing.assert_array_equal(layer.scale, SIZE)


def test_an_unknown_axis_opens_as_pixels_beside_the_others(tmp_path: Path) -> None:
    from napari.layers import Image

    from napari_tsain.layers.stack import stack_of

    data, attributes, _ = layer_data(hdf5(tmp_path, {"resolution": (0, 4, 5)}))
    layer = Image(data, **attributes)
    assert [str(u) for u in layer.units] == ["pixel", NM, NM]
    assert (stack_of(layer).voxel_size, stack_of(layer).unit) == ((None, 4.0, 5.0), NM)


@pytest.mark.parametrize("ending", ["h5", "zarr", "ome.zarr", "tif"])
def test_a_result_claims_no_more_than_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    """Without a voxel size, and with that of one axis unknown."""
    (tmp_path / "partly").mkdir()
    for folder, sizes, expected in (
        (tmp_path, {}, None),
        (tmp_path / "partly", {"resolution": (np.nan, 4, 5)}, (None, 4.0, 5.0)),
    ):
        out = folder / f"o.{ending}"
        assert main(["interpolate", str(hdf5(folder, sizes)), str(out), "--model", "mean"]) == 0
        result = open_volume(out)
        assert result.voxel_size == expected and result.shape == (9, 20, 30)
        assert result.unit == (NM if expected else None)
        capsys.readouterr()
        assert main(["info", str(out), "--model", "mean"]) == 0
        (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("voxel size")]
        assert "not stated" in line and ("4, 5 nanometer" in line) == bool(expected)


def test_nothing_is_invented_in_the_file_itself(tmp_path: Path) -> None:
    for name in ("a.h5", "a.zarr"):
        with create_volume(tmp_path / name, STACK.shape, STACK.dtype) as writer:
            for z, image in enumerate(STACK):
                writer.write(z, image)
    with h5py.File(tmp_path / "a.h5") as file:
        assert not {"resolution", "unit"} & set(file["volumes/raw"].attrs)
    (image,) = zarr.open_group(str(tmp_path / "a.zarr"), mode="r").attrs["ome"]["multiscales"]
    assert all("unit" not in axis for axis in image["axes"])
