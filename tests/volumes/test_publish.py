"""How a result takes its name, and what it does not replace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tsain_core.errors import TsainError
from tsain_core.volumes import create_volume, open_volume

NAMES = ("v.tif", "v.h5", "v.zarr")
DATA = np.random.default_rng(0).integers(0, 255, (3, 16, 16), np.uint8)


def write(path: Path, data: np.ndarray = DATA, **options: bool) -> None:
    with create_volume(path, data.shape, data.dtype, **options) as writer:
        for z, image in enumerate(data):
            writer.write(z, image)


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("name", NAMES)
def test_a_name_taken_meanwhile_is_not_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with (
        pytest.raises(TsainError, match="appeared while"),
        create_volume(path, DATA.shape, DATA.dtype) as writer,
    ):
        for z, image in enumerate(DATA):
            writer.write(z, image)
        path.write_text("of someone else")
    assert path.read_text() == "of someone else"
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["v.tif", "v.zarr"])
def test_folders_and_files_do_not_replace_each_other(tmp_path: Path, name: str) -> None:
    """A folder of slices named like a TIFF is not a TIFF to be overwritten."""
    path = tmp_path / name
    if name == "v.tif":
        path.mkdir()
        (path / "slice0.png").write_text("precious")
    else:
        path.write_text("precious")
    with pytest.raises(TsainError, match="remove it yourself"):
        create_volume(path, DATA.shape, DATA.dtype, overwrite=True)
    assert (path / "slice0.png" if path.is_dir() else path).read_text() == "precious"


@pytest.mark.parametrize("name", NAMES)
def test_two_writers_of_one_process(tmp_path: Path, name: str) -> None:
    with create_volume(tmp_path / name, DATA.shape, DATA.dtype) as writer:
        with pytest.raises(TsainError, match="being written already"):
            create_volume(tmp_path / name, DATA.shape, DATA.dtype)
        for z, image in enumerate(DATA):
            writer.write(z, image)
    np.testing.assert_array_equal(open_volume(tmp_path / name).data.compute(), DATA)


def test_remains_of_a_process_whose_number_we_have(tmp_path: Path) -> None:
    """As in containers, where each process is number 1."""
    left = tmp_path / f".v.tif.partial-{os.getpid()}.tif"
    left.write_text("half")
    os.utime(left, (1_000_000_000, 1_000_000_000))
    write(tmp_path / "v.tif")
    assert [p.name for p in tmp_path.iterdir()] == ["v.tif"]


@pytest.mark.parametrize("name", ["v.zarr", "a[1].zarr"])
def test_remains_of_a_killed_process(tmp_path: Path, name: str, dead_pid: int) -> None:
    (tmp_path / f".{name}.partial-{dead_pid}.zarr").mkdir()
    write(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    (tmp_path / f".{name}.old-{dead_pid}").mkdir()
    write(tmp_path / name, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_an_old_result_gets_its_name_back(tmp_path: Path, dead_pid: int) -> None:
    """Killed in the moment between the old one's stepping aside and the new one's coming."""
    path = tmp_path / "v.zarr"
    write(path)
    path.rename(tmp_path / f".v.zarr.old-{dead_pid}")
    with pytest.raises(TsainError, match="exists"):
        create_volume(path, DATA.shape, DATA.dtype)
    np.testing.assert_array_equal(open_volume(path).data.compute(), DATA)


def test_a_link_to_a_folder_is_replaced_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "real.zarr")
    (tmp_path / "v.zarr").symlink_to(tmp_path / "real.zarr")
    write(tmp_path / "v.zarr", DATA[::-1], overwrite=True)
    np.testing.assert_array_equal(open_volume(tmp_path / "real.zarr").data.compute(), DATA)
    np.testing.assert_array_equal(open_volume(tmp_path / "v.zarr").data.compute(), DATA[::-1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["real.zarr", "v.zarr"]


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (2, 0, 4)])
def test_shapes_that_are_no_stack(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(TsainError, match=r"expected \(z, y, x\)"):
        create_volume(tmp_path / "v.tif", shape, "uint8")


def _array(folder: Path) -> None:
    import zarr

    zarr.open_array(str(folder), mode="w", shape=(2, 8, 8), chunks=(1, 8, 8), zarr_format=2)[:] = 1


REPLACED = {
    "a result": lambda path: write(path),
    "a plain array": _array,
    "an empty group": lambda path: (path.mkdir(), (path / ".zgroup").write_text("{}")),
    "a result that a file manager was in": lambda path: (
        write(path),
        (path / ".DS_Store").write_text(""),
    ),
}
KEPT = {
    "an empty folder": lambda path: path.mkdir(),
    "a folder of slices": lambda path: (path.mkdir(), (path / "s0.png").write_text("precious")),
    "a folder round a Zarr": lambda path: (path.mkdir(), write(path / "inner.zarr")),
    "a Zarr with a file in it": lambda path: (write(path), (path / "thesis.docx").write_text("x")),
    "a Zarr with a folder in it": lambda path: (write(path), (path / "photos").mkdir()),
    "attributes alone": lambda path: (path.mkdir(), (path / ".zattrs").write_text("{}")),
    "a file": lambda path: path.write_text("precious"),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to nothing": lambda path: path.symlink_to(path.parent / "nowhere"),
}


def everything(path: Path) -> list[str]:
    return sorted(str(p) for p in [path, *path.rglob("*")])


@pytest.mark.parametrize("kind", REPLACED)
def test_a_zarr_is_replaced(tmp_path: Path, kind: str) -> None:
    REPLACED[kind](tmp_path / "v.zarr")
    write(tmp_path / "v.zarr", DATA[::-1], overwrite=True)
    np.testing.assert_array_equal(open_volume(tmp_path / "v.zarr").data.compute(), DATA[::-1])


@pytest.mark.parametrize("way", ["create_volume", "command"])
@pytest.mark.parametrize("kind", KEPT)
def test_nothing_else_is_replaced_by_a_zarr(tmp_path: Path, kind: str, way: str) -> None:
    from tsain_core.cli import main

    path = tmp_path / "v.zarr"
    KEPT[kind](path)
    before = everything(tmp_path)
    if way == "command":
        write(tmp_path / "in.tif")
        words = ["interpolate", str(tmp_path / "in.tif"), str(path), "--model", "mean"]
        assert main([*words, "--overwrite"]) == 1
        (tmp_path / "in.tif").unlink()
    else:
        with pytest.raises(TsainError, match="choose a name that is free"):
            create_volume(path, DATA.shape, DATA.dtype, overwrite=True)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("kind", ["a pipe", "a link to nothing", "a folder of slices"])
def test_nothing_but_a_file_is_replaced_by_a_file(tmp_path: Path, kind: str) -> None:
    KEPT[kind](tmp_path / "v.tif")
    before = everything(tmp_path)
    with pytest.raises(TsainError, match="choose a name that is free"):
        create_volume(tmp_path / "v.tif", DATA.shape, DATA.dtype, overwrite=True)
    assert everything(tmp_path) == before


def test_what_appears_meanwhile_is_not_replaced_either(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    with (
        pytest.raises(TsainError, match="only a Zarr is replaced"),
        create_volume(path, DATA.shape, DATA.dtype, overwrite=True) as writer,
    ):
        for z, image in enumerate(DATA):
            writer.write(z, image)
        path.mkdir()
        (path / "precious").write_text("x")
    assert (path / "precious").read_text() == "x"


def test_images_bear_the_name_of_their_result(tmp_path: Path) -> None:
    import zarr

    write(tmp_path / "mine.zarr")
    scales = zarr.open_group(str(tmp_path / "mine.zarr")).attrs["ome"]["multiscales"]
    assert scales[0]["name"] == "mine.zarr"
