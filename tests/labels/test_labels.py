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

from tsain_core.cli import main
from tsain_core.interpolation.schedule import by_factor
from tsain_core.labels import labels_between, labels_to_file, scheduled_labels
from tsain_core.volumes import Volume, open_labels


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
    for name, beside in (("r.tif", "r-labels.tif"), ("r.zarr", "r-labels.zarr")):
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
