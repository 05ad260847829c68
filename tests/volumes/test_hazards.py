"""Metadata that ask for the impossible, and files that are none: refused in a line, at once."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from tsain_core.errors import TsainError, TsainWarning
from tsain_core.volumes import open_volume

STACK = np.random.default_rng(0).integers(1, 255, (5, 20, 30), np.uint8)


def refused(path: Path, words: str) -> None:
    with pytest.raises(TsainError, match=words) as caught:
        _ = open_volume(path)[0]
    assert "\n" not in str(caught.value)


def array(path: Path, zarr_format: int = 2) -> tuple[Path, dict[str, Any]]:
    """A stack, the file of its metadata, and what that holds."""
    made = zarr.create_array(
        str(path), shape=STACK.shape, dtype="u1", chunks=(1, 20, 30), zarr_format=zarr_format
    )
    made[...] = STACK
    metadata = path / (".zarray" if zarr_format == 2 else "zarr.json")
    return metadata, json.loads(metadata.read_text())


def changed(path: Path, zarr_format: int, shape: list[int] | None, chunks: list[int]) -> None:
    metadata, values = array(path, zarr_format)
    if shape:
        values["shape"] = shape
    if zarr_format == 2:
        values["chunks"] = chunks
    else:
        values["chunk_grid"]["configuration"]["chunk_shape"] = chunks
    metadata.write_text(json.dumps(values))


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        (None, [0, 20, 30]),
        (None, [1, -20, 30]),
        (None, [1, 2**20, 2**20]),
        ([2**31, 20, 30], [2**31, 20, 30]),
        ([5, 2**31, 2**31], [1, 1, 1]),
        ([2**62, 20, 30], [1, 20, 30]),
        ([-5, 20, 30], [1, 20, 30]),
    ],
)
def test_sizes_that_cannot_be(
    tmp_path: Path, zarr_format: int, shape: list[int] | None, chunks: list[int]
) -> None:
    changed(tmp_path / "a.zarr", zarr_format, shape, chunks)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TsainError):
        open_volume(tmp_path / "a.zarr").data[:2].compute()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1 << 19, "half a GiB"


@pytest.mark.parametrize("name", [".zattrs", ".zarray"])
def test_deep_and_endless_metadata(tmp_path: Path, name: str) -> None:
    array(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / name).write_text("[" * 200_000 + "]" * 200_000)
    refused(tmp_path / "a.zarr", "cannot be read as Zarr")
    (tmp_path / "a.zarr" / name).unlink()
    with open(tmp_path / "a.zarr" / name, "wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    refused(tmp_path / "a.zarr", "too many for metadata")


@pytest.mark.parametrize("name", [".zattrs", ".zarray", "2.0.0"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_inside_a_zarr(tmp_path: Path, name: str, kind: str) -> None:
    array(tmp_path / "a.zarr")
    path = tmp_path / "a.zarr" / name
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(TsainError, match=kind):
        _ = open_volume(tmp_path / "a.zarr")[2]


def test_pickled_chunks_are_not_loaded(tmp_path: Path) -> None:
    metadata, values = array(tmp_path / "a.zarr")
    values["filters"] = [{"id": "pickle", "protocol": 5}]
    values["compressor"] = None
    metadata.write_text(json.dumps(values))
    flag = tmp_path / "ran"
    code = f"cposix\nsystem\n(S'touch {flag}'\ntR.".encode()
    for z in range(5):
        (tmp_path / "a.zarr" / f"{z}.0.0").write_bytes(code)
    refused(tmp_path / "a.zarr", "pickles|cannot be read")
    assert not flag.exists()


def test_a_coarser_level_that_is_damaged_does_not_hide_the_others(tmp_path: Path) -> None:
    from tsain_core.volumes import create_volume, open_pyramid

    with create_volume(tmp_path / "a.zarr", (2, 700, 700), "uint8") as writer:
        for z in range(2):
            writer.write(z, np.full((700, 700), 9, np.uint8))
    (tmp_path / "a.zarr" / "1" / "zarr.json").write_text("{")
    with pytest.warns(UserWarning, match="level 1"):
        assert len(open_pyramid(tmp_path / "a.zarr")) == 1


def test_hdf5_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        raw = file.create_dataset("raw", (5, 2**20, 2**20), "u1", chunks=(1, 2**15, 2**15))
        raw.id.write_direct_chunk((0, 0, 0), b"x", filter_mask=1)
    refused(tmp_path / "a.h5", "a.h5/raw claims")


def test_hdf5_filters_that_are_not_there(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((1, 20, 30))
        settings.set_filter(321, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(STACK.shape)
        data = h5py.h5d.create(file.id, b"raw", h5py.h5t.NATIVE_UINT8, space, settings)
        h5py.Dataset(data).id.write_direct_chunk((0, 0, 0), b"abc")
    with pytest.raises(TsainError, match="filter.*321.*not installed.*hdf5plugin") as caught:
        open_volume(tmp_path / "a.h5")
    assert "copy it again" not in str(caught.value)


def test_a_locked_file_is_not_called_damaged(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = STACK
    script = (
        "import h5py, sys; f = h5py.File(sys.argv[1], 'a'); print('open', flush=True); "
        "sys.stdin.read()"
    )
    import subprocess
    import sys

    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "a.h5")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout and other.stdout.readline() == b"open\n"
        refused(tmp_path / "a.h5", "Another program is writing")
        assert other.stdin
        other.stdin.close()


def test_more_than_memory_holds_is_not_read(tmp_path: Path) -> None:
    changed(tmp_path / "a.zarr", 2, [5, 2**19, 2**20], [1, 2**18, 2**8])
    with pytest.warns(TsainWarning, match="lack data"):
        volume = open_volume(tmp_path / "a.zarr")
    with pytest.raises(TsainError, match="512.0 GiB, and .* are free; crop the stack"):
        _ = volume[0]
    assert volume.read(slice(1), slice(-4, None), slice(-4, None)).shape == (1, 4, 4)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1:9"])
def test_servers_that_are_not_there(host: str) -> None:
    refused(f"http://{host}/a.zarr", "a.zarr.*cannot be reached: check address")  # type: ignore[arg-type]
