"""Marks of computed slices: believed as long as they are for the slices that are there."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image

from napari_tsain.io import layer_data
from napari_tsain.layers.provenance import LayerMarks, layer_marks
from napari_tsain.layers.stack import stack_of
from tsain_core.errors import TsainWarning
from tsain_core.volumes import LOST, create_volume, open_volume, slice_digest

STACK = np.random.default_rng(0).integers(0, 255, (7, 80, 96)).astype(np.uint8)
SYNTHETIC = (1, 3, 5)


def write(path: Path, stack: Any = STACK) -> Path:
    with create_volume(
        path, stack.shape, stack.dtype, synthetic=SYNTHETIC, provenance={"model": "mean"}
    ) as writer:
        for z, image in enumerate(stack):
            writer.write(z, image)
    return path


def marked(data: Any, **more: Any) -> Image:
    """A layer of `data` with the marks of STACK."""
    digests = {z: slice_digest(STACK[z]) for z in SYNTHETIC}
    marks = LayerMarks(synthetic=SYNTHETIC, depth=len(STACK), digests=digests)
    return Image(data, metadata=marks.to_metadata(), **more)


@pytest.mark.parametrize("name", ["a.zarr", "a.h5", "a.ome.tif"])
def test_a_file_keeps_what_its_marks_are_for(tmp_path: Path, name: str) -> None:
    volume = open_volume(write(tmp_path / name))
    assert volume.synthetic == SYNTHETIC and LOST not in volume.provenance
    if not name.endswith("tif"):  # whose first page comes before the slices are known
        assert volume.digests == {z: slice_digest(STACK[z]) for z in SYNTHETIC}


def crop_h5(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        old = file["volumes/raw"]
        values, attributes = old[2:], dict(old.attrs)
        del file["volumes/raw"]
        file.create_dataset("volumes/raw", data=values).attrs.update(attributes)


def crop_zarr(path: Path) -> None:
    shutil.rmtree(path / "0")
    zarr.create_array(f"{path}/0", data=STACK[2:], dimension_names=("z", "y", "x"))


def crop_tiff(path: Path) -> None:
    xml = tifffile.tiffcomment(path).replace('SizeZ="7"', 'SizeZ="5"')
    tifffile.imwrite(path, STACK[2:], description=xml, metadata=None, photometric="minisblack")


@pytest.mark.parametrize(
    "name, crop", [("a.h5", crop_h5), ("a.zarr", crop_zarr), ("a.ome.tif", crop_tiff)]
)
def test_a_cropped_file_says_that_its_marks_do_not_fit(
    tmp_path: Path, name: str, crop: Any
) -> None:
    path = write(tmp_path / name)
    crop(path)
    with pytest.warns(TsainWarning, match="written for 7 slices, and there are 5"):
        volume = open_volume(path)
    assert volume.synthetic == () and "7 slices" in volume.provenance[LOST]


def test_marks_of_older_files_have_no_depth(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    for synthetic, fits in (((1, 3), True), ((1, 30), False)):
        with h5py.File(path, "r+") as file:
            file["volumes/raw"].attrs["tsain"] = json.dumps({"synthetic_slices": synthetic})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert open_volume(path).synthetic == (synthetic if fits else ())
        assert bool(caught) != fits


OTHERS = {
    "cropped": STACK[2:],
    "longer": np.concatenate([STACK, STACK[:1]]),
    "rolled": np.roll(STACK, 1, axis=0),
    "one replaced": np.concatenate([STACK[:3], STACK[:1], STACK[4:]]),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("form", ["array", "lazy", "pyramid"])
def test_a_layer_that_was_changed_is_not_believed(kind: str, form: str) -> None:
    def layer(data: Any) -> Image:
        lazy = da.from_array(data, chunks=(1, -1, -1))
        if form == "pyramid":
            return marked([lazy, lazy[:, ::2, ::2]], multiscale=True)
        return marked(data.copy() if form == "array" else lazy)

    good = layer(STACK)
    assert layer_marks(good).synthetic == SYNTHETIC and not layer_marks(good).doubt
    bad = layer(OTHERS[kind])
    assert layer_marks(bad).synthetic == () and layer_marks(bad).doubt
    volume = stack_of(bad)
    assert volume.synthetic == () and volume.provenance[LOST] == layer_marks(bad).doubt


def test_data_set_later_or_in_place() -> None:
    layer = marked(STACK.copy())
    assert layer_marks(layer).synthetic == SYNTHETIC
    layer.data[3] = 0
    assert "slice 3" in layer_marks(layer).doubt
    layer.data = STACK.astype(np.float32)  # the same values
    assert layer_marks(layer).synthetic == SYNTHETIC
    layer.data = da.from_array(STACK[::-1][:6])
    assert layer_marks(layer).doubt


def test_a_file_whose_slices_were_reordered(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["volumes/raw"][...] = np.roll(STACK, 2, axis=0)
    data, attributes, _ = layer_data(path)
    assert "slice 1" in layer_marks(Image(data, **attributes)).doubt
