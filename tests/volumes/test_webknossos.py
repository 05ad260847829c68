"""WEBKNOSSOS datasets: layers in Zarr as its importer lays them out, (c, x, y, z)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tsain_core.errors import TsainError
from tsain_core.volumes import list_datasets, open_volume

STACK = np.random.default_rng(0).integers(1, 255, (5, 20, 30), np.uint8)
_SCALE = {"factor": [4, 5, 40], "unit": "nanometer"}


def layer(name: str, data: Any, mags: dict[str, list[int]], **others: Any) -> dict[str, Any]:
    depth, height, width = data.shape
    order = {"c": 0, "x": 1, "y": 2, "z": 3}
    return {
        "name": name,
        "category": "color",
        "boundingBox": {
            "topLeft": [0, 0, 0],
            "width": width,
            "height": height,
            "depth": depth,
        },
        "elementClass": data.dtype.name,
        "dataFormat": "zarr3",
        "numChannels": 1,
        "mags": [
            {"mag": mag, "path": f"./{name}/{short}", "axisOrder": order}
            for short, mag in mags.items()
        ],
        **others,
    }


def write(folder: Path, layers: list[dict[str, Any]], scale: Any = None) -> Path:
    values = {"id": {"name": folder.name, "team": ""}, "dataLayers": layers}
    text = json.dumps({**values, "scale": _SCALE if scale is None else scale})
    (folder / "datasource-properties.json").write_text(text)
    return folder


def store(folder: Path, data: Any, zarr_format: int = 3) -> None:
    zarr.create_array(
        str(folder),
        data=data.transpose(2, 1, 0)[None],
        chunks=(1, 16, 16, 2),
        zarr_format=zarr_format,  # type: ignore[arg-type]
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    store(tmp_path / "color" / "1", STACK)
    store(tmp_path / "color" / "2-2-1", STACK[:, ::2, ::2])
    mags = {"2-2-1": [2, 2, 1], "1": [1, 1, 1]}
    return write(tmp_path, [layer("color", STACK, mags)])


def test_the_finest_magnification_of_the_only_image(dataset: Path) -> None:
    volume = open_volume(dataset)
    np.testing.assert_array_equal(volume.data.compute(), STACK)
    assert volume.voxel_size == (40, 5, 4) and volume.unit == "nanometer"
    assert volume.dataset == "color/1" and volume.format == "WEBKNOSSOS"
    assert dict(list_datasets(dataset)) == {
        "color/1": ((5, 20, 30), "uint8"),
        "color/2-2-1": ((5, 10, 15), "uint8"),
    }
    half = open_volume(dataset, dataset="color/2-2-1")
    assert half.voxel_size == (40, 10, 8)
    np.testing.assert_array_equal(half[4], STACK[4, ::2, ::2])
    np.testing.assert_array_equal(open_volume(dataset, dataset="color")[1], STACK[1])


def test_older_scales_and_zarr_2(tmp_path: Path) -> None:
    store(tmp_path / "em" / "1", STACK, zarr_format=2)
    entry = layer("em", STACK, {"1": [1, 1, 1]}, dataFormat="zarr")
    volume = open_volume(write(tmp_path, [entry], [4, 5, 40]))
    np.testing.assert_array_equal(volume.data.compute(), STACK)
    assert volume.voxel_size == (40, 5, 4) and volume.unit == "nanometer"
    um = {"factor": [0.004, 0.005, 0.04], "unit": "micrometer"}
    assert open_volume(write(tmp_path, [entry], um)).unit == "micrometer"


def test_two_images_are_a_question_and_segmentations_are_none(dataset: Path) -> None:
    labels = layer("cells", STACK, {"1": [1, 1, 1]}, category="segmentation")
    first = layer("color", STACK, {"1": [1, 1, 1]})
    assert open_volume(write(dataset, [labels, first])).dataset == "color/1"
    with pytest.raises(TsainError, match=r"color/1 .*other/1"):
        open_volume(write(dataset, [first, layer("other", STACK, {"1": [1, 1, 1]})]))


def test_what_is_refused(dataset: Path, tmp_path: Path) -> None:
    entry = layer("color", STACK, {"1": [1, 1, 1]}, dataFormat="wkw")
    with pytest.raises(TsainError, match=r"stored as wkw; .* convert it to Zarr"):
        open_volume(write(dataset, [entry]))
    for place in ("../../elsewhere", "https://host/color/1", "/etc"):
        entry = layer("color", STACK, {"1": [1, 1, 1]})
        entry["mags"][0]["path"] = place
        with pytest.raises(TsainError, match="outside its folder"):
            open_volume(write(dataset, [entry]))
    for bad in ([], [{"name": "color"}], "text", [3]):
        with pytest.raises(TsainError) as caught:
            open_volume(write(dataset, bad))  # type: ignore[arg-type]
        assert str(caught.value).isprintable()
