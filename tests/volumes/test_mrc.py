"""MRC as microscopes and IMOD write it."""

from __future__ import annotations

import pickle
import struct
from itertools import permutations
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import tifffile

from tsain_core.errors import TsainError
from tsain_core.volumes import open_volume

STACK = np.random.default_rng(0).integers(0, 255, (5, 20, 30), np.uint8)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", ">i2"])
def test_values_size_and_origin(tmp_path: Path, dtype: str) -> None:
    data = STACK.astype(dtype)
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(data)
        mrc.voxel_size = (40.0, 40.0, 500.0)  # x, y, z in angstroms
        mrc.header.origin = (10, 20, 30)
    volume = open_volume(tmp_path / "a.mrc")
    assert volume.voxel_size == pytest.approx((50.0, 4.0, 4.0))
    assert (volume.unit, volume.offset) == ("nanometer", pytest.approx((3.0, 2.0, 1.0)))
    assert volume.dtype == data.dtype.newbyteorder("=")
    assert volume.dtype.isnative
    np.testing.assert_array_equal(volume.data.compute(), data)
    np.testing.assert_array_equal(volume[4], data[4])


def test_start_of_a_part_where_no_origin_is_given(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(STACK.astype(np.int16))
        mrc.voxel_size = (40.0, 40.0, 500.0)
        mrc.nstart = (2, 0, 3)  # x, y, z in voxels
    assert open_volume(tmp_path / "a.mrc").offset == pytest.approx((150.0, 0.0, 8.0))


def test_padding_at_the_end_is_no_damage(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(STACK.astype(np.int16))
    with (tmp_path / "a.mrc").open("ab") as file:
        file.write(bytes(100))
    np.testing.assert_array_equal(open_volume(tmp_path / "a.mrc").data.compute(), STACK)


@pytest.mark.parametrize(("flags", "flip"), [(0, 0), (1, 128)], ids=["unsigned", "signed"])
@pytest.mark.parametrize("order", "<>")
def test_bytes_of_imod(tmp_path: Path, flags: int, flip: int, order: str) -> None:
    """IMOD's stamp and flags lie at bytes 152 and 156; signed bytes are 128 less than shown."""
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data((STACK ^ np.uint8(flip)).view(np.int8))
        if order == ">":
            mrc.header.machst = [0x11, 0x11, 0, 0]
    content = bytearray(path.read_bytes())
    if order == ">":  # all of the header that is read here are 4-byte words
        words = np.frombuffer(content, "<u4", 24).astype(">u4").tobytes()
        content[: len(words)] = words
        content[108:112] = content[108:112][::-1]
        content[196:208] = bytes(12)
    content[152:160] = struct.pack(f"{order}2i", 1146047817, flags)
    path.write_bytes(content)
    volume = open_volume(path)
    assert volume.dtype == np.uint8
    np.testing.assert_array_equal(volume.data.compute(), STACK)


def test_travels_by_name(tmp_path: Path) -> None:
    data = np.zeros((50, 100, 100), np.int16)
    data[3] = 7
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(data)
    packed = pickle.dumps(open_volume(tmp_path / "a.mrc"))
    assert len(packed) < data.nbytes / 10
    np.testing.assert_array_equal(pickle.loads(packed)[3], data[3])


def new(path: Path, data: np.ndarray, **header: Any) -> Path:
    """A file with its header changed after it was written."""
    with mrcfile.new(path) as mrc:
        mrc.set_data(data)
        mrc.voxel_size = (40.0, 40.0, 400.0)  # x, y, z in angstroms
    with mrcfile.mmap(path, mode="r+", permissive=True) as mrc:
        for name, value in header.items():
            mrc.header[name] = value
    return path


def refused(path: Path, *words: str) -> None:
    with pytest.raises(TsainError) as caught:
        open_volume(path)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("codes", list(permutations((1, 2, 3))))
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_order_of_the_axes(tmp_path: Path, codes: tuple[int, int, int], dtype: str) -> None:
    """MAPC, MAPR and MAPS say which axis (1 = x) columns, rows and sections are."""
    mapc, mapr, maps = codes
    data = STACK.astype(dtype)
    stored = data.transpose([3 - code for code in (maps, mapr, mapc)])
    path = new(tmp_path / "a.mrc", stored, mapc=mapc, mapr=mapr, maps=maps)
    with mrcfile.mmap(path, mode="r+", permissive=True) as mrc:
        mrc.header.mx, mrc.header.my, mrc.header.mz = data.shape[::-1]
        mrc.header.cella = (30 * 40.0, 20 * 50.0, 5 * 400.0)
        starts = dict(zip(codes, ("nxstart", "nystart", "nzstart"), strict=True))
        for axis, start in ((1, 2), (3, 7)):
            mrc.header[starts[axis]] = start
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume))[3], data[3])
    assert volume.voxel_size == pytest.approx((40.0, 5.0, 4.0))
    assert volume.offset == pytest.approx((280.0, 0.0, 8.0))


def test_axes_that_are_not_stated_or_make_no_sense(tmp_path: Path) -> None:
    data = STACK.astype(np.int16)
    path = new(tmp_path / "a.mrc", data, mapc=0, mapr=0, maps=0)
    np.testing.assert_array_equal(open_volume(path).data, data)
    for codes in ((1, 1, 3), (0, 2, 3), (4, 2, 1), (-1, 2, 3)):
        names = dict(zip(("mapc", "mapr", "maps"), codes, strict=True))
        refused(new(tmp_path / f"{codes}.mrc", data, **names), "MAPC, MAPR and MAPS", "1, 2 and 3")


@pytest.mark.parametrize("nz", [6, 100, (1 << 31) - 1])
def test_fewer_slices_than_the_header_says(tmp_path: Path, nz: int) -> None:
    path = new(tmp_path / "a.mrc", STACK.astype(np.int16), nz=nz)
    refused(path, f"says {nz} slices, but the file holds 5", "copy it again")


@pytest.mark.parametrize("nz", [1, 3, 4])
def test_more_slices_than_the_header_says(tmp_path: Path, nz: int) -> None:
    path = new(tmp_path / "a.mrc", STACK.astype(np.int16), nz=nz)
    refused(path, f"has {nz} slices, but it holds 5", "still being written")


@pytest.mark.parametrize("name", ["nx", "ny", "nz"])
@pytest.mark.parametrize("value", [0, -5, (1 << 31) - 1])
def test_sizes_that_cannot_be(tmp_path: Path, name: str, value: int) -> None:
    refused(new(tmp_path / "a.mrc", STACK.astype(np.int16), **{name: value}), "cannot be read")


@pytest.mark.parametrize("value", [-1, 10_000_000, (1 << 31) - 1, -(1 << 31)])
def test_extended_headers_that_cannot_be(tmp_path: Path, value: int) -> None:
    path = new(tmp_path / "a.mrc", STACK.astype(np.int16), nsymbt=value)
    refused(path, "extended header", f"{value} bytes")


def test_extended_headers_are_skipped(tmp_path: Path) -> None:
    data = STACK.astype(np.float32)
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(data)
        mrc.set_extended_header(np.full(1000, b"x", "S1"))
    np.testing.assert_array_equal(open_volume(tmp_path / "a.mrc").data, data)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (3, "complex"),
        (4, "complex"),
        (12, "float16"),
        (101, "4-bit"),
        (7, "Unrecognised mode"),
        (-1, "mode -1"),
        (5000, "mode 5000"),
    ],
)
def test_modes(tmp_path: Path, mode: int, words: str) -> None:
    refused(new(tmp_path / "a.mrc", STACK.astype(np.int16)[:, :, ::2], mode=mode), words)


def test_a_stack_of_volumes(tmp_path: Path) -> None:
    path = new(tmp_path / "a.mrc", STACK.repeat(2, 0).astype(np.int16), ispg=401, mz=5)
    refused(path, "2 volumes of 5 slices")


@pytest.mark.parametrize("order", "<>")
def test_a_stamp_of_the_machine_that_was_left_out(tmp_path: Path, order: str) -> None:
    data = STACK.astype(f"{order}i2")
    path = new(tmp_path / "a.mrc", data, machst=[0, 0, 0, 0])
    np.testing.assert_array_equal(open_volume(path).data, data)


@pytest.mark.parametrize("bad", [0.0, -2000.0, np.nan, np.inf])
def test_sizes_that_are_not_stated(tmp_path: Path, bad: float) -> None:
    path = new(tmp_path / "a.mrc", STACK.astype(np.int16), cella=(30 * 40.0, 20 * 40.0, bad))
    volume = open_volume(path)
    assert (volume.voxel_size, volume.unit) == ((None, 4.0, 4.0), "nanometer")
    path = new(tmp_path / "b.mrc", STACK.astype(np.int16), cella=(bad,) * 3)
    volume = open_volume(path)
    assert (volume.voxel_size, volume.unit) == (None, None)
    path = new(tmp_path / "c.mrc", STACK.astype(np.int16), mx=0, my=0, mz=0, origin=(bad,) * 3)
    volume = open_volume(path)
    assert volume.voxel_size is None
    assert np.isfinite(volume.offset).all()


def test_cases(em_data: Path) -> None:
    volume = open_volume(em_data / "cases" / "m321.mrc")
    np.testing.assert_array_equal(volume.data, tifffile.imread(em_data / "cases" / "S.tif"))
    assert (volume.voxel_size, volume.unit) == (pytest.approx((40, 4, 4)), "nanometer")
    refused(em_data / "cases" / "flag16.mrc", "4-bit", "newstack")
