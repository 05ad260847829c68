"""What is written comes back: values, dtype, voxel size, unit, offset, synthetic marks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tsain_core.errors import TsainError
from tsain_core.volumes import DTYPES, create_volume, open_volume

NAMES = ("v.ome.tif", "v.tif", "v.h5", "v.zarr", "v.ome.zarr")


def stack(dtype: str, shape: tuple[int, int, int] = (5, 37, 53)) -> NDArray[np.generic]:
    """Values over the whole range of the dtype."""
    rng = np.random.default_rng(1)
    if dtype == "float32":
        return (rng.standard_normal(shape) * 1e4).astype(np.float32)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def write(path: Path, data: NDArray[np.generic], **options: object) -> None:
    with create_volume(path, data.shape, data.dtype, **options) as writer:  # type: ignore[arg-type]
        for z, image in enumerate(data):
            writer.write(z, image)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_everything_comes_back(tmp_path: Path, name: str, dtype: str) -> None:
    data = stack(dtype)
    provenance = {"model": "tsain-lite", "intensity_range": [1.5, 200.0], "note": "µ"}
    write(
        tmp_path / name,
        data,
        voxel_size=(25.0, 4.0, 4.5),
        unit="nanometer",
        offset=(100.0, -8.0, 4.5),
        synthetic=(1, 3),
        provenance=provenance,
    )
    volume = open_volume(tmp_path / name)
    assert volume.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(volume.data.compute(), data)
    np.testing.assert_array_equal(volume[3], data[3])
    assert volume.voxel_size == pytest.approx((25.0, 4.0, 4.5))
    assert volume.unit == "nanometer"
    assert volume.offset == pytest.approx((100.0, -8.0, 4.5))
    assert volume.synthetic == (1, 3)
    assert volume.provenance == provenance
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_known_stays_unknown(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, stack("uint8"))
    volume = open_volume(tmp_path / name)
    assert volume.synthetic == ()
    assert volume.unit is None and volume.voxel_size is None


@pytest.mark.parametrize("name", ["v.zarr", "v.ome.zarr"])
def test_one_unknown_axis_stays_unknown(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, stack("uint8"), voxel_size=(None, 4.0, 4.5), unit="nm")
    volume = open_volume(tmp_path / name)
    assert volume.voxel_size == (None, 4.0, 4.5) and volume.unit == "nanometer"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_is_named_as_its_folder(tmp_path: Path, version: str) -> None:
    import zarr

    write(tmp_path / "v.zarr", stack("uint8"), ome_version=version)
    attributes = dict(zarr.open_group(str(tmp_path / "v.zarr"), mode="r").attrs)
    (image,) = attributes.get("ome", attributes)["multiscales"]
    assert image["name"] == "v.zarr"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("shape", [(3, 700, 1301), (2, 64, 64), (4, 1, 600)])
def test_ome_zarr_is_valid(tmp_path: Path, version: str, shape: tuple[int, int, int]) -> None:
    """Read back with the reference reader; levels halve, scale and translation follow."""
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    data = stack("uint8", shape)
    path = tmp_path / "v.zarr"
    options = {"voxel_size": (40.0, 4.0, 4.0), "unit": "nanometer", "ome_version": version}
    write(path, data, **options)
    location = parse_url(path)
    assert location is not None
    (node,) = list(Reader(location)())
    np.testing.assert_array_equal(node.data[0].compute(), data)
    for finer, coarser in zip(node.data, node.data[1:], strict=False):
        z, y, x = finer.shape
        assert coarser.shape == (z, -(-y // 2), -(-x // 2))
    assert max(node.data[-1].shape[1:]) <= 512 or min(node.data[-1].shape[1:]) == 1
    for level, transforms in enumerate(node.metadata["coordinateTransformations"]):
        scale, translation = transforms[0]["scale"], transforms[1]["translation"]
        assert scale == [40.0, 4.0 * 2**level, 4.0 * 2**level]
        assert translation[1] == pytest.approx((2**level - 1) * 2.0)
    assert open_volume(path).format == f"OME-Zarr {version}"


def test_tiff_is_read_by_others(tmp_path: Path) -> None:
    """tifffile reads one ZYX series, imageio all pages."""
    import imageio.v3 as iio
    import tifffile

    data = stack("uint16")
    write(tmp_path / "v.tif", data, voxel_size=(50.0, 4.0, 4.0), unit="nanometer")
    with tifffile.TiffFile(tmp_path / "v.tif") as tif:
        assert tif.is_ome
        assert len(tif.series) == 1
        assert tif.series[0].axes == "ZYX"
        np.testing.assert_array_equal(tif.asarray(), data)
    np.testing.assert_array_equal(iio.imread(tmp_path / "v.tif"), data)


def test_order_and_completeness(tmp_path: Path) -> None:
    data = stack("uint8")
    for name in ("v.h5", "v.zarr"):
        with create_volume(tmp_path / name, data.shape, data.dtype) as writer:
            for z in (4, 0, 2, 1, 3):
                writer.write(z, data[z])
        np.testing.assert_array_equal(open_volume(tmp_path / name).data.compute(), data)
    with (
        pytest.raises(ValueError, match="in order"),
        create_volume(tmp_path / "v.tif", data.shape, data.dtype) as writer,
    ):
        writer.write(1, data[1])
    with (
        pytest.raises(ValueError, match="2 of 5 slices were never written"),
        create_volume(tmp_path / "w.zarr", data.shape, data.dtype) as writer,
    ):
        for z in range(3):
            writer.write(z, data[z])
    with (
        pytest.raises(ValueError, match="expected"),
        create_volume(tmp_path / "w.zarr", data.shape, data.dtype) as writer,
    ):
        writer.write(0, data[0].astype(np.float32))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.h5", "v.zarr"]


@pytest.mark.parametrize("name", NAMES)
def test_existing_results_are_kept_until_the_new_one_is_complete(tmp_path: Path, name: str) -> None:
    old, new = stack("uint8"), stack("uint8")[::-1]
    path = tmp_path / name
    write(path, old)
    with pytest.raises(TsainError, match="exists"):
        write(path, new)
    with (
        pytest.raises(KeyboardInterrupt),
        create_volume(path, new.shape, new.dtype, overwrite=True) as writer,
    ):
        writer.write(0, new[0])
        raise KeyboardInterrupt
    np.testing.assert_array_equal(open_volume(path).data.compute(), old)
    write(path, new, overwrite=True)
    np.testing.assert_array_equal(open_volume(path).data.compute(), new)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_source_is_never_written_to(tmp_path: Path) -> None:
    data = stack("uint8")
    source = tmp_path / "in.zarr"
    write(source, data)
    for target in (source, source / "out.zarr", tmp_path / "sub" / ".." / "in.zarr"):
        with pytest.raises(TsainError, match="source is never touched"):
            create_volume(target, data.shape, data.dtype, overwrite=True, source=str(source))
    np.testing.assert_array_equal(open_volume(source).data.compute(), data)


def test_unknown_endings_and_dtypes(tmp_path: Path) -> None:
    with pytest.raises(TsainError, match=r"\.tif, \.h5 or \.zarr"):
        create_volume(tmp_path / "v.mrc", (2, 4, 4), "uint8")
    with pytest.raises(TsainError, match="expected one of"):
        create_volume(tmp_path / "v.tif", (2, 4, 4), "float64")
