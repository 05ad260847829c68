"""Labels go along with a stack: by shape, slice pair by slice pair, never with a new label."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from ome_zarr_models.v04.image_label import ImageLabel as ImageLabel04
from ome_zarr_models.v04.labels import Labels as Labels04
from ome_zarr_models.v05.image_label import ImageLabel as ImageLabel05
from ome_zarr_models.v05.labels import Labels as Labels05

from tsain_core.cli import main
from tsain_core.interpolation.schedule import by_factor
from tsain_core.labels import labels_between, labels_to_file, scheduled_labels
from tsain_core.volumes import Volume, label_images, open_labels, open_volume
from tsain_core.volumes._label_images import label_name
from tsain_core.volumes._zarr_sink import ZarrSink


def disc(y: float, x: float, radius: float, side: int = 80) -> Any:
    rows, columns = np.indices((side, side))
    return np.hypot(rows - y, columns - x) < radius


def test_a_disc_grows_and_an_outline_moves() -> None:
    small, large = disc(40, 40, 10).astype(np.int32) * 7, disc(40, 40, 30).astype(np.int32) * 7
    for fraction, radius in ((0.25, 15), (0.5, 20), (0.75, 25)):
        found = labels_between(small, large, fraction)
        assert found.dtype == np.int32 and set(np.unique(found)) == {0, 7}
        wanted = np.pi * radius**2
        assert abs(int((found == 7).sum()) - wanted) < 0.06 * wanted
    np.testing.assert_array_equal(labels_between(small, large, 0), small)
    np.testing.assert_array_equal(labels_between(small, large, 1), large)


def test_objects_that_do_not_overlap_move_along() -> None:
    first, second = disc(20, 20, 6).astype(np.uint8), disc(50, 60, 6).astype(np.uint8)
    half = labels_between(first, second, 0.5)
    np.testing.assert_allclose(np.argwhere(half).mean(0), (35, 40), atol=1)
    assert abs(int(half.sum()) - int(first.sum())) < 15


def test_an_object_of_one_slice_ends_half_way() -> None:
    alone, none = disc(40, 40, 12).astype(np.uint16), np.zeros((80, 80), np.uint16)
    areas = [labels_between(alone, none, f).sum() for f in (0.1, 0.25, 0.4, 0.6)]
    assert areas[0] > areas[1] > areas[2] > 0 and areas[3] == 0


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint32", "int64", "uint64"])
def test_no_label_is_new_and_no_hole_opens(dtype: str) -> None:
    random = np.random.default_rng(1)
    seeds = random.uniform(0, 64, (9, 2)) + random.normal(0, 2, (2, 9, 2))
    rows, columns = np.indices((64, 64))
    numbers = np.arange(9) if dtype == "bool" else random.choice(np.arange(1, 120), 9, False)
    cells = [
        numbers[np.argmin([np.hypot(rows - y, columns - x) for y, x in places], 0)]
        for places in seeds
    ]
    before, after = (c.astype(dtype) if dtype != "bool" else c % 2 == 0 for c in cells)
    found = labels_between(before, after, 0.5)
    assert found.dtype == before.dtype
    assert set(np.unique(found)) <= set(np.unique(before)) | set(np.unique(after))
    same = before == after
    assert (found == before)[same].mean() > 0.9
    if dtype != "bool":
        assert 0 not in found  # no background in either slice
    big = before.astype("uint64") * np.uint64(2**60) if dtype == "uint64" else before
    assert labels_between(big, big[::-1].copy(), 0.5).dtype == big.dtype


def test_each_slice_is_read_once() -> None:
    read: list[int] = []

    class Counted:
        shape = (5, 20, 20)

        def __getitem__(self, z: int) -> Any:
            read.append(z)
            return np.full((20, 20), z + 1, np.uint8)

    schedule = by_factor(5, 3, (2,), exact=True)
    made = dict(scheduled_labels(Counted(), schedule))
    assert read == [0, 1, 3, 4] and sorted(made) == list(range(13))
    assert {int(image[0, 0]) for image in made.values()} <= {1, 2, 4, 5}


@pytest.mark.parametrize("name", ["l.tif", "l.h5", "l.zarr"])
@pytest.mark.parametrize("dtype", ["uint8", "uint32", "int32", "uint64"])
def test_a_file_of_labels(tmp_path: Path, name: str, dtype: str) -> None:
    labels = np.stack([disc(40, 30 + 4 * z, 12) for z in range(3)]).astype(dtype)
    labels *= np.array(100 if dtype == "uint8" else 70_000, dtype)
    volume = Volume(da.from_array(labels, chunks=(1, -1, -1)), (40.0, 5.0, 5.0), "nanometer")
    schedule = by_factor(3, 2)
    work = labels_to_file(volume, tmp_path / name, schedule)
    if dtype == "uint64" and name == "l.tif":
        with pytest.raises(ValueError, match="64 bits"):
            list(work)
        assert not (tmp_path / name).exists()
        return
    assert list(work)[-1] == (5, 5)
    read = open_labels(tmp_path / name)
    assert read.dtype == labels.dtype and read.voxel_size == (20.0, 5.0, 5.0)
    assert read.synthetic == (1, 3)
    values = read.data.compute()
    np.testing.assert_array_equal(values[::2], labels)
    assert set(np.unique(values)) == set(np.unique(labels))


def test_a_pyramid_has_no_mean_of_labels(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (2, 700, 700)).astype(np.uint8) * 200
    list(labels_to_file(Volume(da.from_array(labels)), tmp_path / "l.zarr", by_factor(2, 2)))
    for level in zarr.open_group(tmp_path / "l.zarr", mode="r").arrays():
        assert set(np.unique(level[1][:])) <= {0, 200}


def test_halves_are_as_the_slices_that_were_left_out() -> None:
    """Ellipses that turn and grow: nearer to the truth than the nearest slice."""
    rows, columns = np.indices((90, 90)) - 45

    def ellipse(z: float) -> Any:
        angle = z / 4
        along = rows * np.sin(angle) + columns * np.cos(angle)
        across = rows * np.cos(angle) - columns * np.sin(angle)
        return ((along / (30 + z)) ** 2 + (across / 14) ** 2 < 1).astype(np.uint8)

    def dice(a: Any, b: Any) -> float:
        return float(2 * (a & b).sum() / (a.sum() + b.sum()))

    truth = ellipse(1)
    made = labels_between(ellipse(0), ellipse(2), float(Fraction(1, 2)))
    assert dice(made, truth) > max(dice(ellipse(0), truth), 0.9)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (5, 80, 80)).astype(np.uint8)
    labels = np.stack([disc(40, 30 + 4 * z, 12) for z in range(5)]).astype(np.uint32) * 70_000
    tifffile.imwrite(tmp_path / "s.tif", stack)
    tifffile.imwrite(tmp_path / "l.tif", labels)
    tifffile.imwrite(tmp_path / "wrong.tif", labels[:, :-1])
    words = ["interpolate", f"{tmp_path}/s.tif"]
    more = ["--model", "mean", "--labels", f"{tmp_path}/l.tif"]
    for name, beside in (("r.tif", "r-labels.tif"), ("r.h5", "r-labels.h5")):
        assert main([*words, f"{tmp_path}/{name}", *more, "--factor", "2"]) == 0
        read = open_labels(tmp_path / beside)
        assert read.dtype == np.uint32 and read.shape == (9, 80, 80)
        np.testing.assert_array_equal(read.data.compute()[::2], labels)
    assert main([*words, f"{tmp_path}/p.tif", *more, "--z-range", "1", "4", "--replace", "2"]) == 0
    read = open_labels(tmp_path / "p-labels.tif").data.compute()
    assert read.shape == (3, 80, 80) and (read[1] != labels[2]).any()
    wrong = [*more[:3], f"{tmp_path}/wrong.tif"]
    assert main([*words, f"{tmp_path}/w.tif", *wrong]) == 1
    assert "5 x 79 x 80 voxels" in capsys.readouterr().err
    assert not (tmp_path / "w.tif").exists()


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, Any]:
    """A folder with a stack, s.tif, and cells.tif, its labels, which are returned, too."""
    random = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "s.tif", random.integers(0, 255, (5, 80, 80)).astype(np.uint8))
    labels = np.stack([disc(40, 30 + 4 * z, 12) for z in range(5)]).astype(np.uint32) * 70_000
    tifffile.imwrite(tmp_path / "cells.tif", labels)
    return tmp_path, labels


def interpolated(folder: Path, output: str, *more: str) -> int:
    words = ["interpolate", f"{folder}/s.tif", f"{folder}/{output}", "--factor", "2"]
    labels = ["--labels", f"{folder}/cells.tif", "--voxel-size", "40", "5", "5"]
    return main([*words, *labels, "--model", "mean", *more])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_lie_in_the_ome_zarr(labelled: tuple[Path, Any], version: str) -> None:
    folder, labels = labelled
    assert interpolated(folder, "r.zarr", "--ome-zarr", version) == 0
    assert not (folder / "r-labels.zarr").exists() and len(list(folder.iterdir())) == 3
    image, cells = open_volume(folder / "r.zarr"), folder / "r.zarr" / "labels" / "cells"
    assert label_images(folder / "r.zarr") == ["labels/cells"]
    for read in (
        open_volume(cells),
        open_labels(cells),
        open_labels(folder / "r.zarr", dataset="labels/cells"),
    ):
        assert read.labels and read.dtype == np.uint32 and read.synthetic == image.synthetic
        assert (read.voxel_size, read.unit) == (image.voxel_size, image.unit)
        assert read.digests.keys() == set(image.synthetic)
        np.testing.assert_array_equal(read.data.compute()[::2], labels)
    assert read.provenance["labels"] == "shape-based"
    group = zarr.open_group(folder / "r.zarr", mode="r")
    if version == "0.5":
        assert ImageLabel05.from_zarr(group["labels/cells"]).attributes.ome.image_label.source
        assert Labels05.from_zarr(group["labels"]).attributes.ome.labels == ["cells"]
    else:
        assert ImageLabel04.from_zarr(group["labels/cells"]).attributes.image_label.source
        assert Labels04.from_zarr(group["labels"]).attributes.labels == ["cells"]


def test_labels_are_refused_as_a_stack(labelled: tuple[Path, Any], capsys: Any) -> None:
    folder, _ = labelled
    assert interpolated(folder, "r.zarr") == 0
    words = ["interpolate", f"{folder}/r.zarr/labels/cells", f"{folder}/x.zarr", "--model", "mean"]
    assert main(words) == 1
    assert "holds labels, of which no mean may be taken" in capsys.readouterr().err


def test_the_labels_are_not_replaced(labelled: tuple[Path, Any], capsys: Any) -> None:
    folder, labels = labelled
    words = ["interpolate", f"{folder}/s.tif", f"{folder}/r.zarr", "--model", "mean"]
    words += ["--replace", "2"]
    assert main([*words, "--labels", f"{folder}/cells.tif"]) == 0
    assert main([*words, "--labels", f"{folder}/r.zarr/labels/cells", "--overwrite"]) == 1
    assert "is never touched" in capsys.readouterr().err
    found = open_labels(folder / "r.zarr/labels/cells").data.compute()
    np.testing.assert_array_equal(found[[0, 1, 3, 4]], labels[[0, 1, 3, 4]])


def test_labels_to_a_file_of_their_own(labelled: tuple[Path, Any], capsys: Any) -> None:
    folder, labels = labelled
    assert interpolated(folder, "r.zarr", "--labels-output", f"{folder}/own.h5") == 0
    assert not label_images(folder / "r.zarr")
    np.testing.assert_array_equal(open_labels(folder / "own.h5").data.compute()[::2], labels)
    assert interpolated(folder, "q.zarr", "--labels-output", f"{folder}/q.zarr/l.zarr") == 1
    assert "over or inside the result" in capsys.readouterr().err
    assert not (folder / "q.zarr").exists()


def test_a_kill_leaves_no_half_of_the_labels(
    labelled: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the result nor its labels have their name; the same command finishes both."""
    folder, labels = labelled
    real = ZarrSink.write

    def killed(self: ZarrSink, z: int, image: Any) -> None:
        if z == 4:
            raise KeyboardInterrupt
        real(self, z, image)

    with monkeypatch.context() as patch:
        patch.setattr(ZarrSink, "write", killed)
        assert interpolated(folder, "r.zarr") != 0
    assert not (folder / "r.zarr").exists()
    assert (folder / ".r.zarr.unfinished.zarr").is_dir()
    assert interpolated(folder, "r.zarr") == 0
    found = open_labels(folder / "r.zarr/labels/cells").data.compute()
    np.testing.assert_array_equal(found[::2], labels)
    assert sorted(p.name for p in (folder / "r.zarr").iterdir()) == ["0", "labels", "zarr.json"]


def test_labels_of_another_run_do_not_stay(
    labelled: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the last two steps, and finished without labels: there are none."""
    folder, _ = labelled

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tsain_core.blockwise.run.publish", killed)
        assert interpolated(folder, "r.zarr") != 0
    words = ["interpolate", f"{folder}/s.tif", f"{folder}/r.zarr", "--factor", "2"]
    assert main([*words, "--model", "mean", "--voxel-size", "40", "5", "5"]) == 0
    assert sorted(p.name for p in (folder / "r.zarr").iterdir()) == ["0", "zarr.json"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/cells.ome.tif", "cells"),
        ("c.zarr/labels/mito/", "mito"),
        ("seg.zarr/labels/mito/0", "mito"),
        ("volumes/labels/neuron_ids", "neuron_ids"),
        ("my cells (2).tif", "my_cells_2"),
        ("été.tif", "t"),
        (".zarr", "zarr"),
        ("細胞.tif", "labels"),
    ],
)
def test_names_of_label_images(source: str, name: str) -> None:
    assert label_name(source) == name
