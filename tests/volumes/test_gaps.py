"""Data that were never written, or cannot be reached, do not pass for black ones."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from tsain_core.errors import TsainError, TsainWarning
from tsain_core.volumes import Volume, create_volume, open_pyramid, open_volume

STACK = np.random.default_rng(0).integers(1, 255, (6, 20, 30), np.uint8)


def opened(path: Path, **options: Any) -> tuple[Volume, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        volume = open_volume(path, **options)
    return volume, [str(w.message) for w in caught if w.category is TsainWarning]


def array(path: Path, data: np.ndarray = STACK, **options: Any) -> Any:
    options = {"chunks": (1, 10, 15), **options}
    made = zarr.create_array(str(path), shape=data.shape, dtype=data.dtype, **options)
    made[...] = data
    return made


def chunk(made: Any, *place: int) -> Path:
    return Path(made.store_path.store.root) / made.path / made.metadata.encode_chunk_key(place)


KINDS: list[dict[str, Any]] = [
    {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "."}},
    {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    {"zarr_format": 3},
    {"zarr_format": 3, "chunk_key_encoding": {"name": "default", "separator": "."}},
    {"zarr_format": 3, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    {"zarr_format": 3, "fill_value": 200},
]


@pytest.mark.parametrize("options", KINDS)
def test_chunks_of_zarr_that_are_gone(tmp_path: Path, options: dict[str, Any]) -> None:
    made = array(tmp_path / "a.zarr", **options)
    assert opened(tmp_path / "a.zarr")[1] == []
    for place in ((2, 0, 1), (3, 1, 1), (5, 0, 0)):
        chunk(made, *place).unlink()
    volume, (said,) = opened(tmp_path / "a.zarr")
    fill = options.get("fill_value", 0)
    assert "a.zarr: slices 2-3, 5 of 6 lack data: 3 of 24 chunks" in said
    assert f"read as {fill}." in said
    mask = volume.missing(volume[2], 2)
    assert mask is not None and mask[:10, 15:].all() and mask.sum() == 150
    assert volume.missing(volume[1], 1) is None


@pytest.mark.parametrize("order", ["zyx", "xyz"])
def test_chunks_in_shards(tmp_path: Path, order: str) -> None:
    """A shard that is gone, and chunks that a shard does not hold."""
    turn = (0, 1, 2) if order == "zyx" else (2, 1, 0)
    data, shards = STACK.transpose(turn), np.array((2, 20, 30))[list(turn)]
    made = array(
        tmp_path / "a.zarr",
        data,
        chunks=tuple(int(n) for n in np.array((1, 10, 15))[list(turn)]),
        shards=tuple(int(n) for n in shards),
        dimension_names=tuple(order),
    )
    assert opened(tmp_path / "a.zarr")[1] == []
    hole = STACK.copy()
    hole[1, 10:, 15:] = 0  # zarr leaves out what holds the fill value only
    made[...] = hole.transpose(turn)
    chunk(made, *np.array((2, 0, 0))[list(turn)]).unlink()
    _, (said,) = opened(tmp_path / "a.zarr")
    assert "slices 1, 4-5 of 6 lack data: 9 of 24 chunks" in said


def test_deep_chunks_name_all_their_slices(tmp_path: Path) -> None:
    made = array(tmp_path / "a.zarr", chunks=(4, 20, 30))
    chunk(made, 1, 0, 0).unlink()
    assert "slices 4-5 of 6 lack data: 1 of 2 chunks" in opened(tmp_path / "a.zarr")[1][0]


def test_an_image_of_ome_zarr(tmp_path: Path) -> None:
    with create_volume(tmp_path / "a.zarr", (4, 700, 700), "uint8") as writer:
        for z in range(4):
            writer.write(z, np.full((700, 700), z, np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_pyramid(tmp_path / "a.zarr")) == 2  # written black is written
    (path,) = (tmp_path / "a.zarr" / "0" / "c" / "2" / "1").glob("0")
    path.unlink()
    assert "slice 2 of 4 lacks data: 1 of 16 chunks" in opened(tmp_path / "a.zarr")[1][0]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("separator", [".", "/"])
def test_chunks_under_another_separator(tmp_path: Path, zarr_format: int, separator: str) -> None:
    name = "v2" if zarr_format == 2 else "default"
    encoding = {"name": name, "separator": separator}
    array(tmp_path / "a.zarr", zarr_format=zarr_format, chunk_key_encoding=encoding)
    metadata = tmp_path / "a.zarr" / (".zarray" if zarr_format == 2 else "zarr.json")
    values = json.loads(metadata.read_text())
    other = "/" if separator == "." else "."
    if zarr_format == 2:
        values["dimension_separator"] = other
    else:
        values["chunk_key_encoding"]["configuration"]["separator"] = other
    metadata.write_text(json.dumps(values))
    with pytest.raises(TsainError, match=f"separator '{separator}'.*set .* in {metadata.name}"):
        open_volume(tmp_path / "a.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_nothing_at_all_is_refused(tmp_path: Path, zarr_format: int) -> None:
    zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=STACK.shape,
        dtype="u1",
        chunks=(1, 10, 15),
        zarr_format=zarr_format,
    )
    with pytest.raises(TsainError, match="a.zarr has no chunk at all"):
        open_volume(tmp_path / "a.zarr")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", STACK.shape, "u1", chunks=(1, 10, 15))
    with pytest.raises(TsainError, match="holds no values"):
        open_volume(tmp_path / "a.h5")


@pytest.mark.parametrize("order", ["zyx", "xyz"])
@pytest.mark.parametrize("fill", [0, 200])
def test_chunks_of_hdf5_that_were_never_written(tmp_path: Path, order: str, fill: int) -> None:
    turn = (0, 1, 2) if order == "zyx" else (2, 1, 0)
    shape = tuple(int(n) for n in np.array(STACK.shape)[list(turn)])
    chunks = tuple(int(n) for n in np.array((1, 10, 15))[list(turn)])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        raw = file.create_dataset("raw", shape, "u1", chunks=chunks, fillvalue=fill)
        raw.attrs["axes"] = order
        for z in (0, 1, 3, 5):
            raw[tuple(np.array([z, slice(None), slice(None)], object)[list(turn)])] = STACK[
                z
            ].transpose([0, 1] if order == "zyx" else [1, 0])
        raw[tuple(np.array([2, slice(0, 10), slice(None)], object)[list(turn)])] = STACK[
            2, :10
        ].transpose([0, 1] if order == "zyx" else [1, 0])
    volume, (said,) = opened(tmp_path / "a.h5")
    assert "slices 2, 4 of 6 lack data: 6 of 24 chunks" in said and f"read as {fill}." in said
    mask = volume.missing(volume[2], 2)
    assert mask is not None and mask[10:].all() and not mask[:10].any()
    assert volume.missing(volume[3], 3) is None


def test_black_that_was_written_is_no_gap(tmp_path: Path) -> None:
    data = STACK.copy()
    data[2] = 0
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", data=data, chunks=(1, 10, 15), compression="gzip")
    volume, said = opened(tmp_path / "a.h5")
    assert said == [] and volume.missing(volume[2], 2) is None


def test_a_virtual_dataset_that_does_not_cover_all(tmp_path: Path) -> None:
    layout = h5py.VirtualLayout(STACK.shape, "u1")
    for z in (0, 1, 3, 4, 5):
        with h5py.File(tmp_path / f"{z}.h5", "w") as file:
            file["data"] = STACK[z]
        layout[z] = h5py.VirtualSource(f"{z}.h5", "data", STACK.shape[1:])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
    volume, (said,) = opened(tmp_path / "a.h5")
    assert "slice 2 of 6 lacks data" in said
    np.testing.assert_array_equal(volume[3], STACK[3])
    (tmp_path / "3.h5").unlink()
    with pytest.raises(TsainError, match="3.h5.*gone"):
        _ = volume[3]
    with pytest.raises(TsainError, match="3.h5, which is gone"):
        open_volume(tmp_path / "a.h5")


def test_looking_for_gaps_reads_no_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = array(tmp_path / "a.zarr", shards=(2, 20, 30))
    chunk(made, 0, 0, 0).unlink()
    monkeypatch.setattr(zarr.Array, "__getitem__", None)
    assert "slices 0-1 of 6 lack data" in opened(tmp_path / "a.zarr")[1][0]


def test_info_says_where_gaps_are_not_looked_for(tmp_path: Path) -> None:
    from dataclasses import replace

    from tsain_core.cli.info import describe

    array(tmp_path / "a.zarr")
    volume = open_volume(tmp_path / "a.zarr")
    assert "missing data" not in dict(describe(volume))
    remote = dict(describe(replace(volume, source="s3://bucket/a.zarr")))
    assert remote["missing data"].startswith("not looked for")


def test_more_chunks_of_hdf5_than_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tsain_core.volumes._hdf5.MOST_LISTED", 10)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        raw = file.create_dataset("raw", STACK.shape, "u1", chunks=(1, 10, 15))
        raw[:5] = STACK[:5]
    assert "4 of 24 chunks were never written" in opened(tmp_path / "a.h5")[1][0]
