"""Marks of computed slices: believed as long as they are for the slices that are there."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image
from napari_builtins.io import napari_write_image

from napari_tsain import interpolate_layer
from napari_tsain.io import layer_data, write_stack
from napari_tsain.layers.provenance import LayerMarks, layer_marks
from napari_tsain.layers.stack import stack_of
from tsain_core.blockwise import InterpolationRequest, interpolate_blockwise
from tsain_core.errors import TsainWarning
from tsain_core.finetuning.jobs import JobRequest, copy_input, make_job
from tsain_core.inference.models import open_model
from tsain_core.interpolation.selection import SliceSelection
from tsain_core.interpolation.to_file import interpolate_to_file
from tsain_core.volumes import LOST, create_volume, open_pyramid, open_volume, slice_digest
from tsain_core.volumes.zarr_layout import ZarrLayout

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
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_file_keeps_what_its_marks_are_for(tmp_path: Path, name: str, dtype: str) -> None:
    stack = STACK.astype(dtype)
    volume = open_volume(write(tmp_path / name, stack))
    assert volume.synthetic == SYNTHETIC and LOST not in volume.provenance
    assert volume.digests == {z: slice_digest(STACK[z]) for z in SYNTHETIC}
    np.testing.assert_array_equal(volume.data.compute(), stack)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("chunks", [(1, 16, 16), (4, 64, 64)])
def test_a_blockwise_result_does_too(tmp_path: Path, version: Any, chunks: Any) -> None:
    """As the one that is written slice by slice."""
    tifffile.imwrite(tmp_path / "in.tif", STACK, photometric="minisblack")
    digests = []
    for name, run in (("blockwise", blockwise_mean), ("written", write_mean)):
        run(tmp_path / "in.tif", tmp_path / f"{name}.zarr", ZarrLayout(version, chunks))
        volume = open_volume(tmp_path / f"{name}.zarr")
        assert volume.synthetic == tuple(range(1, 13, 2))
        assert volume.digests == {z: slice_digest(volume[z]) for z in volume.synthetic}
        digests.append(volume.digests)
    assert digests[0] == digests[1]


def blockwise_mean(source: Path, output: Path, layout: ZarrLayout) -> None:
    spec = InterpolationRequest(str(source), str(output), model="mean", layout=layout)
    for _ in interpolate_blockwise(replace(spec, selection=SliceSelection(factor=2))):
        pass


def write_mean(source: Path, output: Path, _: ZarrLayout) -> None:
    volume, model = open_volume(source), open_model("mean")
    for _event in interpolate_to_file(volume, output, SliceSelection(factor=2).schedule(7), model):
        pass


def test_results_from_python_keep_it_too(tmp_path: Path) -> None:
    source = Image(STACK, name="stack")
    for output in (None, tmp_path / "out.zarr"):
        layer = interpolate_layer(source, factor=2, model="mean", output=output)
        marks = layer_marks(layer)
        assert sorted(marks.digests) == list(marks.synthetic) == list(range(1, 13, 2))
        layer.data = np.roll(np.asarray(layer.data), 1, axis=0)
        assert layer_marks(layer).doubt


def test_a_copy_for_a_job_keeps_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))
    volume = replace(open_volume(write(tmp_path / "a.h5")), source="")
    job = make_job(JobRequest("copied", ""))
    list(copy_input(job, volume))
    copy = open_volume(job.request.source)
    assert copy.synthetic == SYNTHETIC and copy.provenance == volume.provenance
    assert copy.digests == volume.digests


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


def altered(path: Path, values: Any) -> None:
    """The same file, with its marks, and other grey values: as many slices as before."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file["volumes/raw"][...] = values
    elif path.suffix == ".zarr":
        zarr.open_array(path / "0", mode="r+")[...] = values
    else:
        xml = tifffile.tiffcomment(path)
        tifffile.imwrite(path, values, description=xml, metadata=None, photometric="minisblack")


ALTERED = {
    "rolled": np.roll(STACK, 1, axis=0),
    "backwards": STACK[::-1],
    "one replaced": np.concatenate([STACK[:3], STACK[:1], STACK[4:]]),
    "two exchanged": STACK[[0, 1, 2, 4, 3, 5, 6]],
}


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.ome.tif"])
@pytest.mark.parametrize("kind", ALTERED)
def test_a_file_with_other_slices_is_not_believed(tmp_path: Path, name: str, kind: str) -> None:
    path = write(tmp_path / name)
    altered(path, ALTERED[kind])
    with pytest.warns(TsainWarning, match="not the one that was computed"):
        volume = open_volume(path)
    assert volume.synthetic == () and volume.digests == {} and "slice" in volume.provenance[LOST]
    with pytest.warns(TsainWarning, match="not the one that was computed"):
        assert all(level.synthetic == () for level in open_pyramid(path))


def test_one_replaced_slice_among_many(tmp_path: Path) -> None:
    many = np.random.default_rng(1).integers(0, 255, (101, 24, 20)).astype(np.uint8)
    for replaced in (1, 51, 99):
        path = tmp_path / f"{replaced}.h5"
        with create_volume(path, many.shape, "uint8", synthetic=range(1, 101, 2)) as writer:
            for z, image in enumerate(many):
                writer.write(z, image)
        with h5py.File(path, "r+") as file:
            file["volumes/raw"][replaced] = many[replaced + 1]
        with pytest.warns(TsainWarning, match=f"slice {replaced} is not"):
            open_volume(path)


def test_coarser_levels_are_believed_as_the_finest_is(tmp_path: Path) -> None:
    wide = np.tile(STACK, (1, 8, 8))
    path = write(tmp_path / "a.zarr", wide)
    assert len(open_pyramid(path)) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_volume(path, dataset="1").synthetic == SYNTHETIC
    altered(path, np.roll(wide, 1, axis=0))
    with pytest.warns(TsainWarning, match="not the one that was computed"):
        assert open_volume(path, dataset="1").synthetic == ()


def test_a_slice_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr")
    (path / "0" / "c" / "1" / "0" / "0").write_bytes(b"damaged")
    assert open_volume(path).synthetic == SYNTHETIC


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


CHANGED = {
    "as it is": STACK,
    "cropped": STACK[2:],
    "reversed": STACK[::-1],
    "rolled": np.roll(STACK, 1, axis=0),
}


@pytest.mark.parametrize("ending", ["zarr", "h5", "ome.tif"])
@pytest.mark.parametrize("change", CHANGED)
def test_no_slice_is_called_what_it_is_not_after_saving(
    tmp_path: Path, change: str, ending: str
) -> None:
    """A layer that was changed is saved and opened again, twice."""
    layer = marked(CHANGED[change].copy())
    for turn in range(2):
        path = tmp_path / f"{turn}.{ending}"
        assert write_stack(str(path), *layer.as_layer_data_tuple()[:2]) == [str(path)]
        volume = open_volume(path)
        np.testing.assert_array_equal(volume.data.compute(), CHANGED[change])
        assert volume.synthetic == (SYNTHETIC if change == "as it is" else ())
        assert (LOST in volume.provenance) == (change != "as it is")
        data, attributes, _ = layer_data(path)
        layer = Image(data, **attributes)
        assert layer_marks(layer).synthetic == volume.synthetic
        assert bool(layer_marks(layer).doubt) == (change != "as it is")


@pytest.mark.parametrize("change", CHANGED)
def test_naparis_own_writer_makes_no_false_marks(tmp_path: Path, change: str) -> None:
    """It keeps no marks at all, so no real slice can be called synthetic."""
    path = tmp_path / "a.tif"
    napari_write_image(str(path), CHANGED[change], marked(CHANGED[change])._get_state())
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.data.compute(), CHANGED[change])
    assert volume.synthetic == () and "model" not in volume.provenance
    data, attributes, _ = layer_data(path)
    assert layer_marks(Image(data, **attributes)).synthetic == ()
