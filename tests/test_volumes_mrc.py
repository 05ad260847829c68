"""MRC as microscopes and IMOD write it."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest

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
