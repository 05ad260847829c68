"""What an HDF5 file takes from other files: from its own folder only, and never from itself."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from tsain_core.errors import TsainError
from tsain_core.volumes import list_datasets, open_volume

STACK = np.random.default_rng(0).integers(1, 255, (5, 20, 30), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of its own; another one lies outside."""
    inside = tmp_path / "inside"
    inside.mkdir()
    for path in (inside / "near.h5", tmp_path / "far.h5"):
        with h5py.File(path, "w") as file:
            file["data"] = STACK
    (inside / "near.raw").write_bytes(STACK.tobytes())
    (tmp_path / "far.raw").write_bytes(STACK.tobytes())
    return inside


def refused(path: Path, words: str, **options: str) -> None:
    with pytest.raises(TsainError, match=words) as caught:
        open_volume(path, **options).data.compute()
    assert "\n" not in str(caught.value) and "damaged" not in str(caught.value)


def virtual(path: Path, source: str, dataset: str = "data") -> None:
    layout = h5py.VirtualLayout(STACK.shape, "u1")
    layout[...] = h5py.VirtualSource(source, dataset, STACK.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("raw", layout)


def external(path: Path, raw: str) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", STACK.shape, "u1", external=[(raw, 0, STACK.nbytes)])


def linked(path: Path, target: str) -> None:
    with h5py.File(path, "w") as file:
        file["raw"] = h5py.ExternalLink(target, "/data")


WAYS = {"virtual": (virtual, "h5"), "external": (external, "raw"), "link": (linked, "h5")}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("named", [None, "raw"])
def test_files_beside_it_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, way: str, named: str | None
) -> None:
    make, ending = WAYS[way]
    make(folder / "a.h5", f"near.{ending}")
    monkeypatch.chdir("/")  # they lie beside the file, wherever the program runs
    volume = open_volume(folder / "a.h5", dataset=named)
    np.testing.assert_array_equal(volume.data.compute(), STACK)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["relative", "absolute", "system", "by a link"])
def test_files_elsewhere_are_not_followed(folder: Path, way: str, kind: str) -> None:
    make, ending = WAYS[way]
    (folder / f"link.{ending}").symlink_to(folder.parent / f"far.{ending}")
    target = {
        "relative": f"../far.{ending}",
        "absolute": str(folder.parent / f"far.{ending}"),
        "system": "/etc/passwd",
        "by a link": f"link.{ending}",
    }[kind]
    make(folder / "a.h5", target)
    refused(folder / "a.h5", "outside the folder of a.h5.*not followed.*move")
    refused(folder / "a.h5", "outside the folder", dataset="raw")
    list_datasets(folder / "a.h5")  # opens nothing else


@pytest.mark.parametrize("way", WAYS)
def test_files_that_are_gone(folder: Path, way: str) -> None:
    make, ending = WAYS[way]
    make(folder / "a.h5", f"near.{ending}")
    (folder / f"near.{ending}").unlink()
    refused(folder / "a.h5", f"near.{ending}, which is gone")


@pytest.mark.parametrize("way", WAYS)
def test_pipes_do_not_hang(folder: Path, way: str) -> None:
    make, ending = WAYS[way]
    os.mkfifo(folder / f"pipe.{ending}")
    make(folder / "a.h5", f"pipe.{ending}")
    refused(folder / "a.h5", "pipe")


def test_virtual_datasets_in_a_circle(tmp_path: Path) -> None:
    """Reading one crashes the HDF5 library, and with it the program."""
    virtual(tmp_path / "self.h5", ".", "raw")
    refused(tmp_path / "self.h5", "takes its values from itself")
    virtual(tmp_path / "name.h5", "name.h5", "raw")
    refused(tmp_path / "name.h5", "takes its values from itself")
    for i in range(3):
        virtual(tmp_path / f"{i}.h5", f"{(i + 1) % 3}.h5", "raw")
    refused(tmp_path / "0.h5", "takes its values from itself")


def test_virtual_datasets_of_virtual_ones(folder: Path) -> None:
    virtual(folder / "one.h5", "near.h5")
    virtual(folder / "two.h5", "one.h5", "raw")
    np.testing.assert_array_equal(open_volume(folder / "two.h5").data.compute(), STACK)
    virtual(folder / "one.h5", "../far.h5")
    refused(folder / "two.h5", "outside the folder")
    virtual(folder / "one.h5", "near.h5", "removed")
    refused(folder / "two.h5", "takes values from removed in near.h5, which is not there")


def test_links_in_a_circle_and_to_nothing(folder: Path) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        file["one"], file["two"] = h5py.SoftLink("/two"), h5py.SoftLink("/one")
        file["none"] = h5py.SoftLink("/removed")
        file["far"] = h5py.ExternalLink("../far.h5", "/data")
        file["soft"] = h5py.SoftLink("/far")
    refused(
        folder / "a.h5",
        "only links",
    )
    refused(folder / "a.h5", "circle of links", dataset="one")
    refused(folder / "a.h5", "no dataset 'none'|only links", dataset="none")
    refused(folder / "a.h5", "outside the folder", dataset="soft")


def test_sources_by_a_pattern(folder: Path) -> None:
    for i in range(2):
        with h5py.File(folder / f"part-{i}.h5", "w") as file:
            file["data"] = STACK
    shape = (10, *STACK.shape[1:])
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    space = h5py.h5s.create_simple(shape, (h5py.h5s.UNLIMITED, *shape[1:]))
    space.select_hyperslab((0, 0, 0), (h5py.h5s.UNLIMITED, 1, 1), (5, 1, 1), STACK.shape)
    source = h5py.h5s.create_simple(STACK.shape)
    layout.set_virtual(space, b"part-%b.h5", b"data", source)
    with h5py.File(folder / "a.h5", "w", libver="latest") as file:
        full = h5py.h5s.create_simple(shape, (h5py.h5s.UNLIMITED, *shape[1:]))
        h5py.h5d.create(file.id, b"raw", h5py.h5t.NATIVE_UINT8, full, layout)
    volume = open_volume(folder / "a.h5")
    np.testing.assert_array_equal(volume.data.compute(), np.concatenate([STACK, STACK]))
