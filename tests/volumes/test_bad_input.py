"""Bad input: one line that says what was found, what is needed, and the remedy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import imageio.v3 as iio
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr

from tsain_core.errors import TsainError
from tsain_core.volumes import create_volume, open_volume

STACK = np.random.default_rng(0).integers(0, 255, (6, 24, 32), np.uint8)


def refused(path: Path, *words: str, **options: str) -> None:
    """Opening or reading fails with one line that holds the words."""
    with pytest.raises(TsainError) as caught:
        open_volume(path, **options).data.compute(scheduler="synchronous")
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def save(folder: Path, kind: str, data: np.ndarray) -> Path:
    """The array in a format, whatever it holds."""
    path = folder / f"a.{kind}"
    if kind == "tif":
        tifffile.imwrite(path, data, photometric="minisblack")
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["raw"] = data
    else:
        zarr.create_array(str(path), data=data)
    return path


ARRAY_KINDS = ("tif", "h5", "zarr")


@pytest.mark.parametrize("kind", ARRAY_KINDS)
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (STACK[0], ("single image", "at least 2 slices")),
        (STACK.astype(np.complex64), ("complex64", "magnitude")),
        (STACK.astype(np.float64), ("float64", "expected uint8")),
        (STACK.astype(np.uint32), ("uint32", "convert")),
        (np.stack([STACK] * 2), ("2 x 6 x 24 x 32", "choose one channel")),
    ],
    ids=["2d", "complex", "float64", "uint32", "4d"],
)
def test_arrays_that_are_no_grey_stack(
    tmp_path: Path, kind: str, data: np.ndarray, words: tuple[str, ...]
) -> None:
    refused(save(tmp_path, kind, data), *words)


@pytest.mark.parametrize("kind", ARRAY_KINDS[1:])
def test_rgb_and_empty_arrays(tmp_path: Path, kind: str) -> None:
    refused(save(tmp_path, kind, np.stack([STACK[0]] * 3, -1)), "colour image", "grey")
    shutil.rmtree(tmp_path / "a.zarr", ignore_errors=True)
    (tmp_path / "a.h5").unlink(missing_ok=True)
    refused(save(tmp_path, kind, STACK[:0]), "empty")


def test_rgb_tiff_and_png(tmp_path: Path) -> None:
    coloured = np.stack([STACK, STACK, 255 - STACK], -1)
    tifffile.imwrite(tmp_path / "a.tif", coloured, photometric="rgb")
    refused(tmp_path / "a.tif", "colour image", "8-bit grey")
    folder = tmp_path / "slices"
    folder.mkdir()
    for z in range(3):
        iio.imwrite(folder / f"{z}.png", coloured[z])
    refused(folder, "colour image", "8-bit grey")


@pytest.mark.parametrize("axes", ["TYX", "CYX"])
def test_tiff_with_wrong_axes(tmp_path: Path, axes: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": axes})
    refused(tmp_path / "a.tif", axes, "ZYX", "Image > Properties")


def test_tiff_pages_of_different_sizes(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(STACK[0], metadata=None)
        writer.write(STACK[0, :10], metadata=None)
    refused(tmp_path / "a.tif", "24 x 32 uint8 and 10 x 32 uint8", "one size")


def test_tiff_pages_of_different_dtypes(tmp_path: Path) -> None:
    """Pages 0 to 2 alone look like a stack."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z, image in enumerate(STACK):
            writer.write(image.astype(np.uint16) if z == 3 else image, metadata=None)
    refused(tmp_path / "a.tif", "uint8 and", "uint16", "one size and dtype")


def test_tiff_of_several_stacks(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for _ in range(2):
            writer.write(STACK, metadata={"axes": "ZYX"})
    refused(tmp_path / "a.ome.tif", "2 images of 6 x 24 x 32", "a file of its own")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_truncated_tiff(tmp_path: Path, share: float, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression=compression)
    cut(tmp_path / "a.tif", share)
    refused(tmp_path / "a.tif", "a.tif", "copy it again")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_tiff_of_many_pages(tmp_path: Path, share: float) -> None:
    """The chain of pages breaks; what is left must not pass for the whole stack."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in STACK:
            writer.write(image, metadata=None, contiguous=False)
    cut(tmp_path / "a.tif", share)
    refused(tmp_path / "a.tif", "truncated", "copy it again")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_truncated_hdf5(tmp_path: Path, share: float) -> None:
    cut(save(tmp_path, "h5", STACK), share)
    refused(tmp_path / "a.h5", "HDF5", "copy it again")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_truncated_mrc(tmp_path: Path, share: float) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(STACK.astype(np.int16))
    cut(tmp_path / "a.mrc", share)
    refused(tmp_path / "a.mrc", "MRC", "copy it again")


def test_mrc_of_signed_bytes_and_complex_numbers(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(STACK.astype(np.int8))
    refused(tmp_path / "a.mrc", "signed bytes", "newstack")
    with mrcfile.new(tmp_path / "b.mrc") as mrc:
        mrc.set_data(STACK.astype(np.complex64))
    refused(tmp_path / "b.mrc", "complex64")


@pytest.mark.parametrize("damage", ["missing metadata", "corrupt metadata", "corrupt chunk"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_damaged_ome_zarr(tmp_path: Path, version: str, damage: str) -> None:
    path = tmp_path / "a.zarr"
    with create_volume(path, STACK.shape, STACK.dtype, ome_version=version) as writer:  # type: ignore[arg-type]
        for z, image in enumerate(STACK):
            writer.write(z, image)
    metadata = path / "0" / ("zarr.json" if version == "0.5" else ".zarray")
    if damage == "missing metadata":
        metadata.unlink()
    elif damage == "corrupt metadata":
        metadata.write_text("{")
    else:
        chunk = next(p for p in sorted((path / "0").rglob("*")) if p.is_file() and p.name == "0")
        chunk.write_bytes(b"no chunk")
    refused(path, "a.zarr", "again")


def test_zarr_folder_without_metadata(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    refused(tmp_path / "a.zarr", "Zarr", "metadata")


def test_incomplete_ome_metadata(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "a.zarr"))
    group.attrs["ome"] = {"multiscales": [{"axes": [{"name": "z"}], "datasets": []}]}
    refused(tmp_path / "a.zarr", "metadata", "incomplete")


@pytest.mark.parametrize("shape", [(2, *STACK.shape), STACK.shape[1:]])
def test_ome_zarr_channels_and_planes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    group = zarr.create_group(str(tmp_path / "a.zarr"))
    group.create_array("0", shape=shape, dtype="uint8", chunks=shape)
    axes = [{"name": a} for a in "czyx"[-len(shape) :]]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    refused(tmp_path / "a.zarr", "one channel" if len(shape) == 4 else "z, y and x are required")


def test_ambiguous_and_missing_datasets(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["one"], file["two/deep"] = STACK, STACK
    refused(path, "one (6 x 24 x 32 uint8)", "two/deep", "name one with dataset")
    refused(path, "'three'", "two/deep", dataset="three")
    with h5py.File(tmp_path / "b.h5", "w"):
        pass
    refused(tmp_path / "b.h5", "no dataset")
    tifffile.imwrite(tmp_path / "a.tif", STACK)
    refused(tmp_path / "a.tif", "no datasets", dataset="one")


def test_hdf5_datasets_that_are_no_arrays_of_numbers(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["colours"] = np.zeros((3, 4, 5), [("red", "u1"), ("green", "u1")])
        file["text"] = "hello"
        file["nothing"] = h5py.Empty("u1")
        file["hollow"] = h5py.SoftLink("/removed")
        file.create_dataset("unwritten", (6, 24, 32), "u1")
    path = tmp_path / "a.h5"
    refused(path, "convert it", dataset="colours")
    refused(path, "expected a stack", dataset="text")
    refused(path, "expected a stack", dataset="nothing")
    refused(path, "'hollow'", "one of", dataset="hollow")
    refused(path, "no values", dataset="unwritten")


def test_damaged_marks_do_not_pass_as_none(tmp_path: Path) -> None:
    path = save(tmp_path, "h5", STACK)
    with h5py.File(path, "a") as file:
        file["raw"].attrs["tsain"] = '{"synthetic_sl'
    refused(path, "damaged marks", "copy the file again")


def test_ambiguous_zarr_groups(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "g.zarr"))
    group.create_array("one", data=STACK)
    group.create_array("two", data=STACK)
    refused(tmp_path / "g.zarr", "one (6 x 24 x 32 uint8)", "name one with dataset")


def _gap(folder: Path) -> None:
    (folder / "s4.png").unlink()


def _two_gaps(folder: Path) -> None:
    (folder / "s3.png").unlink()
    (folder / "s4.png").unlink()


def _gap_further_on(folder: Path) -> None:
    (folder / "s1.png").unlink()
    (folder / "s4.png").unlink()


def _stack_among_slices(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    for z in range(2):
        tifffile.imwrite(folder / f"s{z}.tif", STACK)


def _bad_description(folder: Path) -> None:
    (folder / "sample.json").write_text("{")


def _other_size(folder: Path) -> None:
    iio.imwrite(folder / "s4.png", STACK[0, :12])


def _other_dtype(folder: Path) -> None:
    iio.imwrite(folder / "s4.png", STACK[0].astype(np.uint16))


def _other_kind(folder: Path) -> None:
    tifffile.imwrite(folder / "s4.tif", STACK[0])


def _twice(folder: Path) -> None:
    iio.imwrite(folder / "t4.png", STACK[0])
    (folder / "s4.png").rename(folder / "s04.png")
    iio.imwrite(folder / "s4.png", STACK[0])
    (folder / "t4.png").unlink()


def _damaged(folder: Path) -> None:
    cut(folder / "s4.png", 0.5)


def _emptied(folder: Path) -> None:
    (folder / "s4.png").write_bytes(b"")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_gap, ("slice 3 and then 5", "4 missing", "recompute these with replace")),
        (_two_gaps, ("slice 2 and then 5", "3 to 4 missing")),
        (_gap_further_on, ("slice 0 and then 2", "1, 4 missing")),
        (_stack_among_slices, ("s0.tif is 6 x 24 x 32, a stack itself", "give that file")),
        (_bad_description, ("sample.json", "voxel_size", "remove it")),
        (_other_size, ("s4.png is 12 x 32", "one size")),
        (_other_dtype, ("s4.png", "uint16")),
        (_other_kind, ("both TIFF and PNG",)),
        (_twice, ("two slices numbered 4",)),
        (_damaged, ("s4.png", "copy it again")),
        (_emptied, ("s4.png", "copy it again")),
    ],
)
def test_bad_folders(
    tmp_path: Path, change: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    for z, image in enumerate(STACK):
        iio.imwrite(tmp_path / f"s{z}.png", image)
    change(tmp_path)
    refused(tmp_path, *words)


def test_what_is_no_volume_at_all(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.tif", "nothing at", "check the name")
    refused(tmp_path, "0 TIFF, PNG or DM files", "at least 2")
    (tmp_path / "a.txt").write_text("text")
    refused(tmp_path / "a.txt", "unknown ending", ".tif")
    iio.imwrite(tmp_path / "a.png", STACK[0])
    refused(tmp_path / "a.png", "single image", "folder")
    for name in ("a.tif", "a.h5", "a.mrc"):
        (tmp_path / name).write_text("this is text")
        refused(tmp_path / name, name)
