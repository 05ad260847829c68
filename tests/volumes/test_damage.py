"""Damage that would crash a native library, or have it allocate what a few bytes claim."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from numcodecs import LZ4, Blosc, Zstd
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from tsain_core.errors import TsainError
from tsain_core.volumes import _hdf5_crashes, list_datasets, open_volume

STACK = np.random.default_rng(0).integers(0, 255, (4, 24, 20), np.uint8)
HUGE = (1 << 31) - 100


def labelled(path: Path) -> Path:
    """With a text in the global heap of the file."""
    with h5py.File(path, "w") as file:
        file["a/b"], file["sound"] = STACK, STACK
        file["a/b"].dims[0].label = "z"
    return path


def crashing(path: Path) -> Path:
    """Kinds of text are 0 and 1; at another, version 2.0 of the HDF5 library crashes."""
    content = labelled(path).read_bytes()
    name = content.rindex(b"DIMENSION_LABELS")
    kind = content.index(b"\x19\x01", name) + 1
    path.write_bytes(content[:kind] + b"\x03" + content[kind + 1 :])
    return path


@pytest.mark.parametrize("way_in", ["named", "linked", "virtual"])
def test_a_crash_of_the_hdf5_library_is_a_line(tmp_path: Path, way_in: str) -> None:
    path, dataset = crashing(tmp_path / "a.h5"), "a/b"
    if way_in != "named":
        path, dataset = tmp_path / "other.h5", "raw"
        with h5py.File(path, "w") as file:
            if way_in == "linked":
                file["raw"] = h5py.ExternalLink("a.h5", "a/b")
            else:
                layout = h5py.VirtualLayout(STACK.shape, "u1")
                layout[:] = h5py.VirtualSource("a.h5", "a/b", STACK.shape)
                file.create_virtual_dataset("raw", layout)
    if h5py.version.hdf5_version_tuple[:2] == (2, 0):
        with pytest.raises(TsainError, match=r"HDF5 library crashes.*copy it again"):
            open_volume(path, dataset=dataset)
    sound = open_volume(tmp_path / "a.h5", dataset="sound")  # another process has taken over
    np.testing.assert_array_equal(sound.data.compute(), STACK)
    assert set(list_datasets(tmp_path / "a.h5")) == {"a/b", "sound"}


def test_every_byte_of_a_small_file(tmp_path: Path) -> None:
    """Whatever is in a byte, this process lives."""
    path = labelled(tmp_path / "a.h5")
    content = path.read_bytes()
    places = [i for i, byte in enumerate(content[:2000] + content[-700:]) if byte][::9]
    for place in places:
        at = place if place < 2000 else len(content) - 2700 + place
        path.write_bytes(content[:at] + bytes([content[at] ^ 2]) + content[at + 1 :])
        try:
            open_volume(path, dataset="a/b")[1]
        except TsainError as error:
            assert str(error).isprintable()


def test_files_are_read_where_no_process_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for executable in ("/there/is/no/such/program", "/bin/false"):
        path = labelled(tmp_path / f"{Path(executable).name}.h5")
        _hdf5_crashes._taster.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", executable)
            assert open_volume(path, dataset="a/b").shape == STACK.shape
    _hdf5_crashes._taster.cache_clear()


def test_no_process_stays_behind(tmp_path: Path) -> None:
    path = labelled(tmp_path / "a.h5")
    code = (
        "from tsain_core.volumes import open_volume, _hdf5_crashes as c;"
        f"open_volume({str(path)!r}, dataset='a/b');"
        "import os; print(c._taster(os.getpid())._process.pid)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path("/proc", done.stdout.strip()).exists() or not Path("/proc/self").exists()
    assert not done.stderr


def write_chunks(path: Path, codec: str) -> Any:
    """A Zarr whose chunks begin with the header of a codec."""
    known: dict[str, Any] = {"shape": STACK.shape, "dtype": "uint8", "chunks": (1, 24, 20)}
    if codec.startswith("v2"):
        chosen = {"v2 blosc": Blosc(), "v2 zstd": Zstd(), "v2 lz4": LZ4()}[codec]
        known |= {"zarr_format": 2, "compressors": chosen}
    elif codec == "sharded":
        known |= {"shards": (2, 24, 20), "compressors": ZstdCodec()}
    else:
        known["compressors"] = {"blosc": BloscCodec(), "zstd": ZstdCodec(), "gzip": GzipCodec()}[
            codec
        ]
    array = zarr.create_array(str(path), **known)
    array[:] = STACK
    return array


def claim(content: bytes) -> bytes:
    """The same chunk, claiming more bytes than it has."""
    number = HUGE.to_bytes(4, "little")
    at = content.find(b"\x28\xb5\x2f\xfd")
    if at >= 0:  # zstd: one segment, 4 bytes of size
        return content[: at + 4] + b"\xa0" + number + content[at + 9 :]
    if content[0] == 2 and content[3] == 1:  # Blosc, of bytes
        return content[:4] + number + content[8:]
    return number + content[4:]


@pytest.mark.parametrize(
    "codec", ["v2 blosc", "v2 zstd", "v2 lz4", "blosc", "zstd", "sharded", "gzip"]
)
def test_chunks_that_claim_too_much(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.zarr"
    write_chunks(path, codec)
    np.testing.assert_array_equal(open_volume(path).data.compute(), STACK)
    first = min(p for p in path.rglob("*") if p.is_file() and p.name[-1].isdigit())
    first.write_bytes(claim(first.read_bytes()))
    if codec != "sharded":
        first.write_bytes(first.read_bytes() + b"\0" * 100)
    volume = open_volume(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 30), hard))
    try:
        with pytest.raises(TsainError, match="damaged|copy it again") as caught:
            volume[0]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert "memory" not in str(caught.value)
    assert ("claims" in str(caught.value)) == (codec != "gzip")
    np.testing.assert_array_equal(volume[3], STACK[3])
