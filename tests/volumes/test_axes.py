"""Axes in any order, by whatever name programs give them: read as (z, y, x), lazily."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from tsain_core.errors import TsainError
from tsain_core.volumes import Volume, open_volume

STACK = np.random.default_rng(0).integers(0, 255, (5, 20, 30), np.uint8)


def in_order(axes: str) -> np.ndarray:
    """The stack with its axes so; those that are not z, y, x have length 1."""
    present = [a for a in axes if a in "zyx"]
    data = STACK.transpose(["zyx".index(a) for a in present])
    return data.reshape([STACK.shape["zyx".index(a)] if a in "zyx" else 1 for a in axes])


def save_hdf5(path: Path, data: np.ndarray, attributes: Mapping[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        item = file.create_dataset("raw", data=data, chunks=tuple(min(7, n) for n in data.shape))
        item.attrs.update(attributes)


def save_zarr(path: Path, data: np.ndarray, attributes: Mapping[str, Any], **options: Any) -> None:
    chunks = tuple(min(7, n) for n in data.shape)
    array = zarr.create_array(
        str(path), shape=data.shape, dtype=data.dtype, chunks=chunks, **options
    )
    array[...] = data
    array.attrs.update(attributes)


def same(volume: Volume) -> None:
    np.testing.assert_array_equal(volume.data.compute(), STACK)
    np.testing.assert_array_equal(volume[3], STACK[3])
    box = volume.read(slice(1, 4), slice(3, 11), slice(5, 6))
    np.testing.assert_array_equal(box, STACK[1:4, 3:11, 5:6])


def spellings(axes: str) -> dict[str, Any]:
    tags = {"axes": [{"key": a, "typeFlags": 2, "resolution": 0} for a in axes]}
    return {
        "axistags": json.dumps(tags),
        "_ARRAY_DIMENSIONS": list(axes),
        "axis_names": list(axes.upper()),
        "axes": axes.upper(),
        "dims": ", ".join(axes),
        "dimension_names": json.dumps(list(axes)),
    }


@pytest.mark.parametrize("key", spellings("zyx"))
@pytest.mark.parametrize("axes", ["zyx", "xyz", "yxz", "tzyxc", "cxtyz", "zcyx"])
def test_attributes_that_name_axes(tmp_path: Path, axes: str, key: str) -> None:
    attributes = {key: spellings(axes)[key]}
    save_hdf5(tmp_path / "a.h5", in_order(axes), attributes)
    same(open_volume(tmp_path / "a.h5"))
    for zarr_format in (2, 3):
        save_zarr(tmp_path / f"{zarr_format}", in_order(axes), attributes, zarr_format=zarr_format)
        same(open_volume(tmp_path / f"{zarr_format}"))


@pytest.mark.parametrize("names", ["XYZ", "TZYXC", "xyz", "YCXZ"])
def test_dimension_names_of_zarr_v3(tmp_path: Path, names: str) -> None:
    data = in_order(names.lower())
    save_zarr(tmp_path / "a.zarr", data, {}, dimension_names=list(names))
    same(open_volume(tmp_path / "a.zarr"))


@pytest.mark.parametrize("names", [["depth", "height", "width"], ["Z [nm]", "y_axis", "dim_x"]])
def test_other_words_for_axes(tmp_path: Path, names: list[str]) -> None:
    save_zarr(tmp_path / "a.zarr", STACK.transpose(2, 1, 0), {"axes": names[::-1]})
    same(open_volume(tmp_path / "a.zarr"))


@pytest.mark.parametrize("axes", ["xyz", "tzyxc"])
@pytest.mark.parametrize("kind", ["label", "scale"])
def test_labels_and_scales_of_hdf5(tmp_path: Path, axes: str, kind: str) -> None:
    """Scales hold the place of every slice, row and column, and so the voxel size."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        raw = file.create_dataset("raw", data=in_order(axes))
        for i, axis in enumerate(axes):
            if kind == "label":
                raw.dims[i].label = axis
                continue
            step = {"z": 40.0, "y": 4.0, "x": 4.5}.get(axis, 1.0)
            file[axis] = np.arange(raw.shape[i]) * step
            file[axis].make_scale(axis)
            file[axis].attrs["units"] = "nm"
            raw.dims[i].attach_scale(file[axis])
    volume = open_volume(tmp_path / "a.h5", dataset="raw")
    same(volume)
    assert volume.voxel_size == ((40.0, 4.0, 4.5) if kind == "scale" else None)


@pytest.mark.parametrize("shape", [(1, 5, 20, 30), (5, 1, 20, 30), (1, 5, 20, 30, 1), (5, 20, 30)])
@pytest.mark.parametrize("save", [save_hdf5, save_zarr])
def test_axes_without_names_of_length_1_are_left_out(
    tmp_path: Path, shape: tuple[int, ...], save: Any
) -> None:
    save(tmp_path / "a.h5", STACK.reshape(shape), {})
    same(open_volume(tmp_path / "a.h5"))


@pytest.mark.parametrize("save", [save_hdf5, save_zarr])
def test_stacks_without_z_are_refused(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "a.h5"
    save(path, STACK, {"axes": "tyx"})
    with pytest.raises(TsainError, match="axes t, y, x; z, y and x are required"):
        open_volume(path)
    save(tmp_path / "b.h5", np.stack([STACK] * 2), {"axes": "tzyx"})
    with pytest.raises(TsainError, match="2 along t; one channel and one time point"):
        open_volume(tmp_path / "b.h5")
    save(tmp_path / "c.h5", STACK, {"axes": "zzx"})
    with pytest.raises(TsainError, match="z, y and x are required"):
        open_volume(tmp_path / "c.h5")


@pytest.mark.parametrize("save", [save_hdf5, save_zarr])
@pytest.mark.parametrize("value", ["{", "", "abc", ["dim_0", "dim_1", "dim_2"], [1, 2, 3], 5])
def test_names_that_say_nothing_are_passed_over(tmp_path: Path, save: Any, value: Any) -> None:
    save(tmp_path / "a.h5", STACK, {"axes": value})
    same(open_volume(tmp_path / "a.h5"))


def test_sizes_in_the_order_of_the_axes(tmp_path: Path) -> None:
    attributes = {"axes": "xyz", "voxel_size": [4, 5, 40], "units": ["nm", "nm", "um"]}
    save_zarr(tmp_path / "a.zarr", in_order("xyz"), attributes | {"offset": [1, 2, 3]})
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.voxel_size == (40000.0, 5.0, 4.0) and volume.offset == (3.0, 2.0, 1.0)
    save_hdf5(
        tmp_path / "a.h5", in_order("txyzc"), {"axes": "txyzc", "resolution": [1, 4, 5, 6, 1]}
    )
    assert open_volume(tmp_path / "a.h5").voxel_size == (6.0, 5.0, 4.0)


def test_ilastik_says_sizes_in_its_tags(tmp_path: Path) -> None:
    tags = [{"key": k, "resolution": r, "unit": "nm"} for k, r in (("x", 4), ("y", 5), ("z", 0))]
    save_hdf5(tmp_path / "a.h5", in_order("xyz"), {"axistags": json.dumps({"axes": tags})})
    volume = open_volume(tmp_path / "a.h5")
    assert (volume.voxel_size, volume.unit) == ((None, 5.0, 4.0), "nanometer")


def test_some_axes_named_as_they_would_be_without(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = STACK
        file["raw"].dims[0].label = "z"
    same(open_volume(tmp_path / "a.h5"))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["raw"] = STACK.transpose(2, 1, 0)
        file["raw"].dims[0].label = "x"
    with pytest.raises(TsainError, match="z, y and x are required"):
        open_volume(tmp_path / "b.h5")
