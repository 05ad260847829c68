"""OME-Zarr metadata as the specification allows them: axes, transformations, units, levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tsain_core.volumes import create_volume, open_volume
from tsain_core.volumes.zarr_layout import halve

STACK = np.random.default_rng(0).integers(0, 255, (5, 20, 30), np.uint8)


def image(path: Path, data: np.ndarray, axes: str, *transforms: Any, **options: Any) -> None:
    """An image of one level; units by axis, and transformations of the whole image."""
    units = options.get("units", {})
    array = zarr.create_group(str(path)).create_array(
        "0", shape=data.shape, dtype=data.dtype, chunks=tuple(min(7, n) for n in data.shape)
    )
    array[...] = data
    scales: dict[str, Any] = {
        "axes": [{"name": a, **({"unit": units[a]} if a in units else {})} for a in axes],
        "datasets": [{"path": "0", "coordinateTransformations": list(transforms)}],
    }
    if "whole" in options:
        scales["coordinateTransformations"] = options["whole"]
    zarr.open_group(str(path)).attrs["ome"] = {"version": "0.5", "multiscales": [scales]}


def scale(*values: float) -> dict[str, Any]:
    return {"type": "scale", "scale": list(values)}


def move(*values: float) -> dict[str, Any]:
    return {"type": "translation", "translation": list(values)}


@pytest.mark.parametrize("axes", ["xyz", "yzx", "zyxc", "czxy"])
def test_axes_in_another_order(tmp_path: Path, axes: str) -> None:
    order = ["zyxc".index(a) for a in axes]
    size, offset = (50.0, 5.0, 4.0, 1.0), (100.0, 2.0, 3.0, 0.0)
    image(
        tmp_path / "a.zarr",
        STACK[..., None]
        .transpose(*order, *(() if "c" in axes else (3,)))
        .reshape([(5, 20, 30, 1)[i] for i in order]),
        axes,
        scale(*(size[i] for i in order)),
        move(*(offset[i] for i in order)),
    )
    volume = open_volume(tmp_path / "a.zarr")
    assert (volume.voxel_size, volume.offset) == (size[:3], offset[:3])
    np.testing.assert_array_equal(volume.data.compute(), STACK)
    np.testing.assert_array_equal(volume[3], STACK[3])
    np.testing.assert_array_equal(volume.data[1:4, 3, 2:9].compute(), STACK[1:4, 3, 2:9])


def test_transformations_of_level_and_image(tmp_path: Path) -> None:
    """Those of the image come after those of the level."""
    whole = [scale(50.0, 4.0, 4.0), move(10.0, 0.0, 0.0)]
    path = tmp_path / "a.zarr"
    image(path, STACK, "zyx", scale(1.0, 2.0, 2.0), move(0.0, 1.0, 1.0), whole=whole)
    volume = open_volume(path)
    assert volume.voxel_size == (50.0, 8.0, 8.0)
    assert volume.offset == (10.0, 4.0, 4.0)


def test_a_unit_for_each_axis(tmp_path: Path) -> None:
    units = {"z": "micrometer", "y": "nanometer", "x": "nanometer"}
    path = tmp_path / "a.zarr"
    image(path, STACK, "zyx", scale(0.05, 4.0, 4.0), move(1.0, 8.0, 0.0), units=units)
    volume = open_volume(path)
    assert volume.voxel_size == pytest.approx((50.0, 4.0, 4.0))
    assert volume.offset == pytest.approx((1000.0, 8.0, 0.0))
    assert volume.unit == "nanometer"


def test_a_level_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    data = np.random.default_rng(0).integers(0, 255, (2, 600, 700), np.uint8)
    with create_volume(path, data.shape, "uint8", voxel_size=(50, 4, 4), unit="nm") as writer:
        for z, plane in enumerate(data):
            writer.write(z, plane)
    volume = open_volume(path, dataset="1")
    assert (volume.dataset, volume.voxel_size) == ("1", (50.0, 8.0, 8.0))
    assert (volume.unit, volume.offset) == ("nanometer", (0.0, 2.0, 2.0))
    np.testing.assert_array_equal(volume[1], halve(data[1]))


def test_named_dimensions_of_a_plain_array(tmp_path: Path) -> None:
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(30, 20, 5), dtype="u1", dimension_names=("x", "y", "z")
    )
    array[...] = STACK.T
    array.attrs["resolution"] = [4.0, 5.0, 50.0]
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.voxel_size == (50.0, 5.0, 4.0)
    np.testing.assert_array_equal(volume.data.compute(), STACK)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_halve_is_the_rounded_mean(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 120, (7, 9)).astype(dtype)
    values[:2, :2] = np.iinfo(dtype).max if dtype != "float32" else 1e30
    padded = np.pad(values, ((0, 1), (0, 1)), "edge").astype(np.float64)
    means = padded.reshape(4, 2, 5, 2).mean((1, 3))
    expected = means if dtype == "float32" else np.rint(means)
    assert halve(values).dtype == dtype
    np.testing.assert_array_equal(halve(values), expected.astype(dtype))
