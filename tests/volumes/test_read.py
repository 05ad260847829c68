"""Reading each format as others write it."""

from __future__ import annotations

from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from tsain_core.volumes import DTYPES, list_datasets, open_volume

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 255, (5, 20, 30), np.uint8)


def same(path: Path, expected: np.ndarray, **options: str) -> None:
    volume = open_volume(path, **options)
    np.testing.assert_array_equal(volume.data.compute(), expected)
    np.testing.assert_array_equal(volume[len(expected) - 1], expected[-1])
    assert volume.dtype == expected.dtype.newbyteorder("=")
    assert volume.dtype.isnative


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"}]
)
def test_multipage_tiff(tmp_path: Path, dtype: str, options: dict) -> None:
    data = (STACK.astype(np.float64) * 3 - 100).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", data, **options)
    same(tmp_path / "a.tif", data)
    assert open_volume(tmp_path / "a.tif").voxel_size is None


def test_plain_pages_without_metadata(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in STACK:
            writer.write(image, metadata=None, contiguous=False)
    same(tmp_path / "a.tif", STACK)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"ome": True}])
def test_pages_written_one_by_one(tmp_path: Path, options: dict) -> None:
    """A series for each page: what a loop over TiffWriter.write makes."""
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=options.pop("ome", False)) as writer:
        for image in STACK:
            writer.write(image, **options)
    same(tmp_path / "a.tif", STACK)


@pytest.mark.parametrize("unit", ["nm", "nanometer"])
def test_imagej_spacing_and_unit(tmp_path: Path, unit: str) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK,
        imagej=True,
        resolution=(1 / 4.0, 1 / 5.0),
        metadata={"axes": "ZYX", "spacing": 50.0, "unit": unit},
    )
    volume = open_volume(tmp_path / "a.tif")
    assert volume.format == "ImageJ TIFF"
    assert volume.voxel_size == pytest.approx((50.0, 5.0, 4.0))
    assert volume.unit == "nanometer"
    same(tmp_path / "a.tif", STACK)


def test_ome_tiff_axes_and_size(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        STACK[None, :, None],
        metadata={
            "axes": "TZCYX",
            "PhysicalSizeZ": 0.05,
            "PhysicalSizeY": 0.004,
            "PhysicalSizeX": 0.004,
            "PhysicalSizeZUnit": "µm",
            "PhysicalSizeYUnit": "µm",
            "PhysicalSizeXUnit": "µm",
        },
    )
    volume = open_volume(tmp_path / "a.ome.tif")
    assert volume.voxel_size == pytest.approx((0.05, 0.004, 0.004))
    assert volume.unit == "micrometer"
    same(tmp_path / "a.ome.tif", STACK)


def test_ome_tiff_with_a_unit_for_each_axis(tmp_path: Path) -> None:
    sizes = {"Z": (0.05, "µm"), "Y": (4.0, "nm"), "X": (4.0, "nm")}
    metadata: dict[str, object] = {"axes": "ZYX"}
    for axis, (size, unit) in sizes.items():
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=metadata)
    volume = open_volume(tmp_path / "a.ome.tif")
    assert volume.voxel_size == pytest.approx((50.0, 4.0, 4.0))
    assert volume.unit == "nanometer"


@pytest.mark.parametrize("suffix", ["png", "tif", "PNG", "TIFF"])
def test_folder_in_natural_order(tmp_path: Path, suffix: str) -> None:
    stack = np.concatenate([STACK] * 3)
    for z, image in enumerate(stack):
        iio.imwrite(tmp_path / f"slice{z + 1}.{suffix}", image)  # slice9 comes before slice10
    (tmp_path / "notes.txt").write_text("not a slice")
    same(tmp_path, stack)


@pytest.mark.parametrize("name", ["s{}_8nm.png", "cell2_z{}.png", "2012-03-{:02}_x4096.png"])
def test_folder_whose_names_hold_other_numbers(tmp_path: Path, name: str) -> None:
    for z, image in enumerate(STACK):
        iio.imwrite(tmp_path / name.format(z + 8), image)
    same(tmp_path, STACK)


def test_folder_of_16_bit_png(tmp_path: Path) -> None:
    data = STACK.astype(np.uint16) * 257
    for z, image in enumerate(data):
        iio.imwrite(tmp_path / f"{z:04}.png", image)
    same(tmp_path, data)


def test_folder_with_description(tmp_path: Path) -> None:
    for z, image in enumerate(STACK):
        iio.imwrite(tmp_path / f"{z:04}.png", image)
    (tmp_path / "sample.json").write_text('{"voxel_size": [50, 4.6, 4.6], "unit": "nm"}')
    assert open_volume(tmp_path).voxel_size == (50.0, 4.6, 4.6)
    assert open_volume(tmp_path).unit == "nanometer"


def test_cremi_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "cremi.hdf"
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("volumes/raw", data=STACK, chunks=(1, 10, 10))
        raw.attrs["resolution"] = (40.0, 4.0, 4.0)
        raw.attrs["offset"] = (400.0, 0.0, 8.0)
        file.create_dataset("volumes/labels/neuron_ids", data=STACK.astype(np.uint64))
        file.create_dataset("other", data=STACK[:, ::-1])
    volume = open_volume(path)
    assert (volume.dataset, volume.voxel_size) == ("volumes/raw", (40.0, 4.0, 4.0))
    assert (volume.unit, volume.offset) == ("nanometer", (400.0, 0.0, 8.0))
    same(path, STACK)
    same(path, STACK[:, ::-1], dataset="/other")
    assert list(list_datasets(path)) == ["other", "volumes/labels/neuron_ids", "volumes/raw"]


def test_hdf5_links_and_units(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["one"], file["two"] = STACK, STACK[:, ::-1]
        file["link"] = h5py.SoftLink("/two")
        file["two"].attrs["resolution"] = (0.04, 0.004, 0.004)
        file["two"].attrs["units"] = np.array([b"um", b"um", b"um"])
    same(path, STACK[:, ::-1], dataset="/link")
    volume = open_volume(path, dataset="link")
    assert (volume.voxel_size, volume.unit) == ((0.04, 0.004, 0.004), "micrometer")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_array_and_group(tmp_path: Path, zarr_format: int) -> None:
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=STACK.shape,
        dtype=">u2",
        chunks=(2, 8, 8),
        zarr_format=zarr_format,
    )
    array[:] = STACK
    array.attrs["resolution"] = [40, 4, 4]
    same(tmp_path / "a.zarr", STACK.astype(np.uint16))
    assert open_volume(tmp_path / "a.zarr").voxel_size == (40.0, 4.0, 4.0)
    group = zarr.create_group(str(tmp_path / "g"), zarr_format=zarr_format)
    group.create_group("volumes").create_array("raw", data=STACK)
    same(tmp_path / "g", STACK)
    same(tmp_path / "g", STACK, dataset="volumes/raw")
    assert list_datasets(tmp_path / "g") == {"volumes/raw": (STACK.shape, "uint8")}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_of_others(tmp_path: Path, version: str) -> None:
    """As ome-zarr-py writes it, with channel and time axes of length 1."""
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.writer import write_image

    fmt = FormatV04() if version == "0.4" else FormatV05()
    group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=2 if version == "0.4" else 3)
    write_image(
        STACK[None, None],
        group,
        fmt=fmt,
        axes=["t", "c", "z", "y", "x"],
        scale_factors=[],
        scale={"z": 40.0, "y": 4.0, "x": 4.0},
        axes_units=dict.fromkeys("zyx", "nanometer"),
    )
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.voxel_size == (40.0, 4.0, 4.0)
    assert volume.unit == "nanometer"
    same(tmp_path / "a.zarr", STACK)


def test_reading_is_lazy(tmp_path: Path) -> None:
    """A slice costs a slice: a stack of which one slice is destroyed opens, and the others read."""
    for z, image in enumerate(STACK):
        iio.imwrite(tmp_path / f"{z}.png", image)
    content = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(content[:120])
    volume = open_volume(tmp_path)
    np.testing.assert_array_equal(volume[3], STACK[3])


@pytest.mark.em_data
def test_real_stack_is_lazy(em_data: Path) -> None:
    volume = open_volume(em_data / "validate" / "isbi2012_train.tif")
    assert volume.shape == (30, 512, 512)
    assert volume.data.chunks[0] == (1,) * 30
    expected = tifffile.imread(em_data / "validate" / "isbi2012_train.tif", key=17)
    np.testing.assert_array_equal(volume[17], expected)


def test_volumes_travel_to_other_processes(tmp_path: Path) -> None:
    import pickle

    tifffile.imwrite(tmp_path / "a.tif", STACK)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = STACK
    for name in ("a.tif", "a.h5"):
        volume = open_volume(tmp_path / name)
        volume[0]  # opens what is opened late
        again = pickle.loads(pickle.dumps(volume))
        np.testing.assert_array_equal(again[2], STACK[2])
