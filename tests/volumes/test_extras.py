"""Formats that need an extra: DM3 and DM4, NRRD, N5, Neuroglancer precomputed; and zipped Zarr."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.lab_formats import (
    SIZE,
    write_dm,
    write_dm_bytes,
    write_n5,
    write_nrrd,
    write_precomputed,
    write_zip,
)
from tsain_core.errors import TsainError
from tsain_core.volumes import list_datasets, open_pyramid, open_volume

STACK = np.random.default_rng(0).integers(1, 255, (5, 20, 30), np.uint8)
DTYPES = ["uint8", "uint16", "int16", "float32"]


def check(path: Path, data: NDArray[Any], offset: Any = (0, 0, 0), **options: Any) -> Any:
    """Shape, dtype, values, size and unit are right, also in another process."""
    volume = open_volume(path, **options)
    assert volume.shape == data.shape
    assert volume.dtype == data.dtype.newbyteorder("=") and volume.dtype.isnative
    np.testing.assert_array_equal(volume.data.compute(), data)
    np.testing.assert_array_equal(volume[3], data[3])
    box = slice(1, 4), slice(7, 19), slice(5, 29)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume.data))[box], data[box])
    assert volume.voxel_size == pytest.approx(SIZE) and volume.unit == "nanometer"
    assert volume.offset == pytest.approx(offset)
    np.testing.assert_array_equal(open_pyramid(path, **options)[0][0], data[0])
    return volume


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ending", [".dm3", ".dm4"])
def test_stack_of_digital_micrograph(tmp_path: Path, ending: str, dtype: str) -> None:
    data = STACK.astype(dtype)
    write = write_dm_bytes if dtype == "uint8" else write_dm
    volume = check(write(tmp_path / f"a{ending}", data), data)
    assert volume.format == f"Gatan {ending[1:].upper()}"


def test_micrometres_and_missing_units_of_digital_micrograph(tmp_path: Path) -> None:
    path = write_dm(tmp_path / "a.dm4", STACK.astype("u2"), (0.04, 0.005, 0.004), "µm")
    assert open_volume(path).voxel_size == pytest.approx((0.04, 0.005, 0.004))
    assert open_volume(path).unit == "micrometer"
    assert open_volume(write_dm(tmp_path / "b.dm4", STACK.astype("u2"), (1, 1, 1), "")).unit is None


def test_folder_of_slices_of_digital_micrograph(tmp_path: Path) -> None:
    for z, image in enumerate(STACK.astype(np.int16)):
        write_dm(tmp_path / f"slice_{z:02}.dm4", image)
    volume = open_volume(tmp_path)
    np.testing.assert_array_equal(volume.data.compute(), STACK)
    assert volume.voxel_size == (None, 5.0, 4.0) and volume.unit == "nanometer"
    (tmp_path / "slice_02.dm4").unlink()
    with pytest.raises(TsainError, match="has slice 1 and then 3"):
        open_volume(tmp_path)
    (tmp_path / "slice_02.dm4").write_bytes(b"nothing")
    with pytest.raises(TsainError, match=r"slice_02.dm4 cannot be read as DM .*copy it again"):
        open_volume(tmp_path)


def test_single_images_and_colour_of_digital_micrograph(tmp_path: Path) -> None:
    with pytest.raises(TsainError, match="a single image"):
        open_volume(write_dm(tmp_path / "a.dm4", STACK[0].astype(np.int16)))
    with pytest.raises(TsainError, match="holds .* int32"):
        open_volume(write_dm(tmp_path / "b.dm4", STACK.astype(np.int32)))


def test_digital_micrograph_cut_short(tmp_path: Path) -> None:
    path = write_dm(tmp_path / "a.dm4", STACK.astype(np.uint16))
    content = path.read_bytes()
    for end in (1, 10, 100, 300, len(content) // 2):
        path.write_bytes(content[:end])
        with pytest.raises(TsainError, match="copy it again") as caught:
            open_volume(path)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("dtype", [*DTYPES, ">i2", ">u2"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_nrrd(tmp_path: Path, encoding: str, dtype: str) -> None:
    data = STACK.astype(dtype)
    path = write_nrrd(tmp_path / "a.nrrd", data, encoding=encoding)
    check(path, data, (120.0, 10.0, 8.0))


def test_nrrd_header_beside_its_data(tmp_path: Path) -> None:
    path = write_nrrd(tmp_path / "a.nhdr", STACK, encoding="raw")
    check(path, STACK, (120.0, 10.0, 8.0))
    (data,) = (p for p in tmp_path.iterdir() if p != path)
    data.unlink()
    os.mkfifo(data)
    with pytest.raises(TsainError, match="a pipe"):
        open_volume(path)
    data.unlink()
    with pytest.raises(TsainError, match="check the name"):
        open_volume(path)
    path.write_text(path.read_text().replace(data.name, f"../{data.name}"))
    with pytest.raises(TsainError, match="lies elsewhere"):
        open_volume(path)


def test_nrrd_spacings_without_a_space(tmp_path: Path) -> None:
    path = write_nrrd(tmp_path / "a.nrrd", STACK, spacings=[4, 5, 40], units=["nm", "nm", "nm"])
    assert open_volume(path).voxel_size == (40, 5, 4)
    path = write_nrrd(tmp_path / "b.nrrd", STACK, spacings=[4, 5, np.nan], units=["nm", "nm", "nm"])
    assert open_volume(path).voxel_size == (None, 5, 4)


def test_nrrd_that_is_no_stack_or_too_short(tmp_path: Path) -> None:
    path = write_nrrd(tmp_path / "a.nrrd", STACK, encoding="raw")
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(TsainError, match="incomplete"):
        open_volume(path)
    path.write_bytes(content.replace(b"sizes: 30 20 5", b"sizes: 30 20 5000000"))
    with pytest.raises(TsainError, match="incomplete"):
        open_volume(path)
    path.write_bytes(content.replace(b"encoding: raw", b"encoding: txt"))
    with pytest.raises(TsainError, match="raw, gzip or bzip2"):
        open_volume(path)
    for end in (2, 30, 100):
        path.write_bytes(content[:end])
        with pytest.raises(TsainError, match="copy it again"):
            open_volume(path)
    packed = write_nrrd(tmp_path / "b.nrrd", STACK, encoding="gzip")
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(TsainError, match="copy it again"):
        open_volume(packed)[0]


@pytest.mark.parametrize(
    "attributes",
    [
        {"resolution": [4, 5, 40], "units": ["nm", "nm", "nm"], "axes": ["x", "y", "z"]},
        {"pixelResolution": {"dimensions": [4, 5, 40], "unit": "nm"}},
        {"pixelResolution": {"dimensions": [0.004, 0.005, 0.04], "unit": "um"}},
        {"resolution": [4, 5, 40]},
    ],
    ids=["tensorstore", "n5-viewer", "micrometres", "bare"],
)
def test_n5_dataset(tmp_path: Path, attributes: dict[str, Any]) -> None:
    path = write_n5(tmp_path / "raw", STACK)
    values = json.loads((path / "attributes.json").read_text())
    (path / "attributes.json").write_text(json.dumps({**values, **attributes}))
    if "pixelResolution" in attributes and attributes["pixelResolution"]["unit"] == "um":
        volume = open_volume(path)
        assert (volume.voxel_size, volume.unit) == ((0.04, 0.005, 0.004), "micrometer")
        return
    check(path, STACK)


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_n5_container_with_levels_as_bigdataviewer_writes_them(tmp_path: Path, dtype: str) -> None:
    data, root = STACK.astype(dtype), tmp_path / "a.n5"
    group = root / "setup0" / "timepoint0"
    write_n5(group / "s0", data, downsamplingFactors=[1, 1, 1])
    write_n5(group / "s1", data[:, ::2, ::2], downsamplingFactors=[2, 2, 1])
    (group / "attributes.json").write_text(json.dumps({"resolution": [4, 5, 40], "multiScale": 1}))
    (root / "attributes.json").write_text(json.dumps({"n5": "2.5.0"}))
    check(root, data)
    assert list(list_datasets(root)) == ["setup0/timepoint0/s0", "setup0/timepoint0/s1"]
    assert open_volume(root, dataset="setup0/timepoint0/s1").voxel_size == (40, 10, 8)
    write_n5(root / "setup1" / "timepoint0" / "s0", data)
    with pytest.raises(TsainError, match="setup1/timepoint0/s0"):
        open_volume(root)


def test_n5_order_of_named_axes(tmp_path: Path) -> None:
    path = write_n5(tmp_path / "raw", np.ascontiguousarray(STACK.T), axes=["z", "y", "x"])
    np.testing.assert_array_equal(open_volume(path).data.compute(), STACK)


def test_precomputed(tmp_path: Path) -> None:
    path = write_precomputed(tmp_path / "image", STACK)
    volume = check(path, STACK, (160.0, 15.0, 8.0))
    assert volume.dataset == "4_5_40" and list(list_datasets(path)) == ["4_5_40"]


def test_precomputed_that_leads_elsewhere_or_is_damaged(tmp_path: Path) -> None:
    path = write_precomputed(tmp_path / "image", STACK)
    info = json.loads((path / "info").read_text())
    changes: list[tuple[Callable[[Any], Any], str]] = [
        (lambda s: s.update(key="../image/4_5_40/../.."), "outside its folder"),
        (lambda s: s.update(size=[30, 20, 0]), "copy it again"),
        (lambda s: s.update(chunk_sizes=[[0, 16, 2]]), "copy it again"),
        (lambda s: s.update(chunk_sizes=[[1 << 20, 1 << 20, 1 << 20]]), "copy it again"),
        (lambda s: s.pop("resolution"), "copy it again"),
    ]
    for change, words in changes:
        other = json.loads(json.dumps(info))
        change(other["scales"][0])
        (path / "info").write_text(json.dumps(other))
        with pytest.raises(TsainError, match=words):
            open_volume(path)


CHUNKED = {
    "n5": lambda path, data: write_n5(path, data, resolution=[4, 5, 40]),
    "precomputed": write_precomputed,
    "zip": lambda path, data: write_zip(path.with_suffix(".zip"), data),
}


@pytest.mark.parametrize("kind", ["n5", "precomputed"])
def test_missing_chunks_are_told(tmp_path: Path, kind: str) -> None:
    path = CHUNKED[kind](tmp_path / "a", STACK)
    names = {"n5": "1/0/1", "precomputed": "4_5_40/18-32_3-19_6-8"}
    (path / names[kind]).unlink()
    with pytest.warns(UserWarning, match=r"slices 2-3 of 5 lack data: 1 of 12"):
        volume = open_volume(path)
    gone = volume.missing(volume[2], 2)
    assert gone is not None and gone[:16, 16:].all() and not gone[16:].any()
    for file in [p for p in path.rglob("*") if p.is_file() and p.suffix != ".json"]:
        if file.name != "info":
            file.unlink()
    with pytest.raises(TsainError, match="no chunk at all"):
        open_volume(path)


@pytest.mark.parametrize("kind", ["n5", "precomputed"])
def test_pipes_in_the_place_of_chunks(tmp_path: Path, kind: str) -> None:
    path = CHUNKED[kind](tmp_path / "a", STACK)
    chunk = path / {"n5": "1/0/1", "precomputed": "4_5_40/18-32_3-19_6-8"}[kind]
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(TsainError, match="a pipe"):
        open_volume(path)
    info = path / {"n5": "attributes.json", "precomputed": "info"}[kind]
    info.unlink()
    os.mkfifo(info)
    with pytest.raises(TsainError):
        open_volume(path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("inside", ["", "volume", "a.zarr/raw"])
def test_zipped_zarr(tmp_path: Path, inside: str, version: int) -> None:
    path = write_zip(tmp_path / "a.zarr.zip", STACK, inside, version)
    check(path, STACK)


def test_zipped_ome_zarr(tmp_path: Path) -> None:
    from tsain_core.volumes import create_volume

    folder = tmp_path / "a.zarr"
    with create_volume(folder, STACK.shape, np.uint8, voxel_size=SIZE, unit="nm") as writer:
        for z, image in enumerate(STACK):
            writer.write(z, image)
    check(Path(shutil.make_archive(str(tmp_path / "a"), "zip", folder)), STACK)
    check(Path(shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path, "a.zarr")), STACK)


def test_zips_that_are_no_zarr_or_lack_data(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "nothing")
    with pytest.raises(TsainError, match="holds no Zarr"):
        open_volume(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(TsainError, match="copy it again"):
        open_volume(path)
    full = write_zip(tmp_path / "b.zip", STACK)
    with zipfile.ZipFile(full) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name != "c/1/0/0":
                new.writestr(name, old.read(name))
    with pytest.warns(UserWarning, match=r"slices 2-3 of 5 lack data: 1 of 12"):
        open_volume(path)


@pytest.mark.parametrize(
    ("module", "extra", "write"),
    [
        ("ncempy", "dm", lambda folder: write_dm(folder / "a.dm4", STACK.astype("u2"))),
        ("nrrd", "nrrd", lambda folder: write_nrrd(folder / "a.nrrd", STACK)),
        ("tensorstore", "tensorstore", lambda folder: write_n5(folder / "a.n5" / "raw", STACK)),
        ("tensorstore", "tensorstore", lambda folder: write_precomputed(folder / "a", STACK)),
    ],
    ids=["dm", "nrrd", "n5", "precomputed"],
)
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    extra: str,
    write: Callable[[Path], Path],
) -> None:
    path = write(tmp_path)
    real = builtins.__import__

    def blocked(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(TsainError, match=rf'pip install "napari-tsain\[{extra}\]"'):
        open_volume(path)
