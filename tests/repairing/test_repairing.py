"""Masked pixels are computed from real ones, and nothing else changes, in memory and in files."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

import tsain_core as tsain
from support.damage import damage
from tsain_core.cli import main
from tsain_core.errors import TsainError, TsainWarning
from tsain_core.inference.models import BaselineModel, open_model, run_to_end
from tsain_core.interpolation.interpolate import SliceReady
from tsain_core.repairing import RepairMask, find_parts, repair_to_file
from tsain_core.repairing.blend import membrane
from tsain_core.volumes import Volume, open_labels, open_volume, part_of

Array = Any


def tissue(depth: int = 7, side: int = 96, dtype: str = "uint8") -> Array:
    """Smooth structures that change little from slice to slice."""
    random = np.random.default_rng(3)
    texture = gaussian_filter(random.normal(0, 1, (depth, side, side)), (2, 4, 4))
    stack = 120 + 30 * texture / texture.std()
    return {"int16": stack - 200, "uint16": stack * 200}.get(dtype, stack).astype(dtype)


def blob(shape: tuple[int, ...], *slices: int) -> Array:
    """A round part of some slices."""
    y, x = np.indices(shape[1:])
    mask = np.zeros(shape, bool)
    mask[list(slices)] = np.hypot(y - 50, x - 40) < 17
    return mask


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("kind", ["tif", "h5", "zarr"])
def test_pixels_that_are_not_masked_stay_bit_for_bit(tmp_path: Path, dtype: str, kind: str) -> None:
    stack = tissue(dtype=dtype)
    mask = blob(stack.shape, 2, 3)
    stack[mask] = stack.max()
    if dtype == "float32":
        stack[5, 3, 4] = np.nan
    source = tmp_path / "source.tif"
    tifffile.imwrite(source, stack)
    tifffile.imwrite(tmp_path / "mask.tif", mask.astype(np.int32) * 70_000)
    before = source.read_bytes()
    path = tmp_path / f"result.{kind}"
    result = tsain.repair(source, tmp_path / "mask.tif", output=path, model="mean")
    assert isinstance(result, Volume)
    values = result.data.compute()
    assert values.dtype == stack.dtype
    np.testing.assert_array_equal(values[~mask], stack[~mask])
    assert (values[mask] != stack[mask]).mean() > 0.99
    assert source.read_bytes() == before
    # what was computed is said, and comes back
    assert result.synthetic == () and set(result.partial) == {2, 3}
    part = result.partial[2]
    assert part.pixels == int(mask[2].sum()) and len(part.mask_digest) == 8
    y0, x0, y1, x1 = part.boxes[0]
    ys, xs = np.nonzero(mask[2])
    assert (y0, x0, y1, x1) == (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
    assert result.provenance["model"] == "mean"


def test_neighbours_are_real_where_masked_pixels_lie() -> None:
    stack = np.broadcast_to(np.arange(9.0)[:, None, None] * 10 + 20, (9, 96, 96)).copy()
    truth = stack.astype(np.float32)
    mask = blob(truth.shape, 3, 4, 5)
    mask[2, 0, 0] = mask[6, 95, 95] = True  # far away: slices 2 and 6 are real where it matters
    damaged = np.where(mask, np.float32(1e6), truth)
    damaged[4][mask[4]] = np.nan
    result = tsain.repair(damaged, mask, model="mean", intensity=(0, 120))
    np.testing.assert_allclose(result, truth, atol=0.01)


def test_slices_computed_earlier_are_no_neighbours() -> None:
    truth = np.broadcast_to(np.arange(7.0)[:, None, None] * 10, (7, 96, 96)).astype(np.float32)
    shown = truth.copy()
    shown[2] = 500
    volume = Volume(da.from_array(shown, chunks=(1, -1, -1)), synthetic=(2,))
    result = tsain.repair(volume, blob(shown.shape, 3), model="mean", intensity=(0, 500))
    np.testing.assert_allclose(result[3], 30, atol=0.5)


def test_no_seam_shows_where_brightness_differs() -> None:
    stack = tissue().astype(np.float32)
    mask = blob(stack.shape, 3)
    jump = stack.copy()
    jump[3] += 40  # as sections differ in staining
    result = tsain.repair(jump, mask, model="mean")
    plain = (jump[2] + jump[4]) / 2
    error = np.abs(result[3] - jump[3])[mask[3]].mean()
    assert error < 0.2 * np.abs(plain - jump[3])[mask[3]].mean()


@pytest.mark.parametrize("side", [40, 400])  # solved directly, and by conjugate gradients
def test_a_membrane_continues_a_plane(side: int) -> None:
    y, x = np.indices((side, side), float)
    plane = 3 * y - 2 * x + 5
    unknown = np.zeros((side, side), bool)
    unknown[1:-1, 1:-1] = True
    found = membrane(plane, ~unknown, unknown)
    assert np.abs(found - plane).max() < 0.02 * np.ptp(plane)


def test_a_membrane_reaches_the_edge_and_fades() -> None:
    known = np.zeros((30, 30), bool)
    known[:, 0] = True
    values = np.where(known, 8.0, 0)
    np.testing.assert_allclose(membrane(values, known, ~known), 8)  # the edge is free
    faded = membrane(values, known, ~known, 3.0)
    assert faded[15, 3] == pytest.approx(8 / np.e, rel=0.1) and faded[15, 20] < 0.05


class Counting(BaselineModel):
    """Notes the size of what it is given."""

    seen: list[tuple[int, ...]] = []

    def between(self, before: Array, *more: Any) -> Generator[Any, None, Array]:
        self.seen.append(before.shape)
        return (yield from super().between(before, *more))


def test_only_the_surroundings_of_a_mask_are_computed() -> None:
    stack = np.zeros((3, 1500, 1500), np.uint8)
    stack[:] = np.arange(1500) % 251
    mask = np.zeros(stack.shape, bool)
    mask[1, 700:720, 900:910] = True
    model = Counting("mean")
    tsain.repair(stack, mask, model=model)
    assert all(max(shape) <= 20 + 2 * 72 for shape in model.seen) and len(model.seen) == 1
    model.seen.clear()
    thin = np.abs(np.subtract(*np.indices((1500, 1500)))) < 5  # a tear across the slice
    result = tsain.repair(stack, np.stack([0 * thin, thin, 0 * thin]), model=model)
    assert sum(h * w for h, w in model.seen) < 0.5 * 1500**2
    np.testing.assert_array_equal(result, stack)


def test_a_slice_that_is_masked_as_a_whole_is_synthetic(tmp_path: Path) -> None:
    stack = tissue()
    result = tsain.repair(
        stack, blob(stack.shape, 4), replace=[2], model="mean", output=tmp_path / "r.h5"
    )
    assert isinstance(result, Volume)
    assert result.synthetic == (2,) and set(result.partial) == {4} and result.computed == (2, 4)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (blob((7, 96, 96), 0), "no slice before"),
        (blob((7, 96, 96), 5, 6), "no slice after"),
        (np.zeros((7, 96, 96), bool), "marks no pixel"),
        (np.ones((7, 96, 95), bool), "7 x 96 x 95"),
        (np.ones((96, 96), bool), "same size"),
    ],
)
def test_masks_that_cannot_be_repaired(mask: Array, words: str) -> None:
    with pytest.raises(TsainError, match=words):
        tsain.repair(tissue(), mask, model="mean")


@pytest.mark.parametrize("kind", ["tif", "h5", "zarr"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "uint64"])
def test_labels_of_any_integer_are_read(tmp_path: Path, kind: str, dtype: str) -> None:
    import h5py
    import zarr

    labels = (np.arange(5 * 20 * 30).reshape(5, 20, 30) % 7).astype(dtype)
    path = tmp_path / f"labels.{kind}"
    if kind == "tif":
        tifffile.imwrite(path, labels)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["volumes/labels"] = labels
    else:
        zarr.create_array(path, data=labels)
    read = open_labels(path)
    assert read.dtype == labels.dtype
    np.testing.assert_array_equal(read.data.compute(), labels)


def test_a_mask_of_floats_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", np.ones((5, 20, 30), np.float32))
    with pytest.raises(TsainError, match="labels are integers"):
        open_labels(tmp_path / "f.tif")


@pytest.mark.parametrize("kind", ["tif", "h5", "zarr"])
def test_marks_of_parts_follow_crops_and_results_and_no_other_slices(
    tmp_path: Path, kind: str
) -> None:
    stack = tissue()
    path = tmp_path / f"r.{kind}"
    result = tsain.repair(stack, blob(stack.shape, 3), model="mean", output=path)
    assert isinstance(result, Volume)
    part = part_of(result, (2, 6), (40, 96, 30, 96))
    assert set(part.partial) == {1} and part.partial[1].pixels is None
    assert part_of(result, (2, 6), (80, 96, 0, 96)).partial == {}  # nothing computed lies there
    for name in ("finer.tif", "finer.zarr"):  # two engines
        finer = tsain.interpolate_to_file(path, tmp_path / name, factor=2, model="mean")
        assert set(finer.partial) == {6} and 6 not in finer.synthetic
        assert finer.partial[6] == result.partial[3]
    rolled = tmp_path / "rolled.zarr"
    with tsain_writer(rolled, result) as writer:
        for z, image in enumerate(np.roll(result.data.compute(), 1, 0)):
            writer.write(z, image)
    _forge(rolled, result)
    with pytest.warns(TsainWarning, match="do not fit"):
        assert open_volume(rolled).partial == {}


def tsain_writer(path: Path, like: Volume) -> Any:
    from tsain_core.volumes import create_volume

    return create_volume(path, like.shape, like.dtype)


def _forge(path: Path, like: Volume) -> None:
    """The marks of another stack, as a program that copies metadata leaves them."""
    from tsain_core.volumes._marks import Marks
    from tsain_core.volumes.zarr_layout import write_marks

    write_marks(path, Marks(partial=like.partial, digests=like.digests, depth=like.shape[0]))


def test_damaged_parts_are_found() -> None:
    random = np.random.default_rng(0)
    stack = np.clip(tissue(9, 192) + random.normal(0, 6, (9, 192, 192)), 0, 255).astype(np.uint8)
    mask = np.zeros(stack.shape[1:], bool)
    mask[60:100, 30:150] = True
    torn = stack.copy()
    torn[4][mask] = 250
    volume = Volume(da.from_array(torn, chunks=(1, -1, -1)))
    found = run_to_end(find_parts(volume, [4])).at(4)
    assert found[mask].all() and found[~mask].mean() < 0.15
    result = tsain.repair(torn, model="mean")  # inspected, searched, repaired
    assert np.abs(result[4] - stack[4].astype(float))[mask].mean() < 12
    np.testing.assert_array_equal(result[[0, 1, 2, 3, 5, 6, 7, 8]], torn[[0, 1, 2, 3, 5, 6, 7, 8]])
    whole = damage(stack, 4, "missing", random)
    volume = Volume(da.from_array(whole, chunks=(1, -1, -1)))
    assert run_to_end(find_parts(volume, [4])).whole_slices == (4,)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = tissue()
    mask = blob(stack.shape, 3)
    tifffile.imwrite(tmp_path / "s.tif", stack)
    tifffile.imwrite(tmp_path / "m.tif", mask.astype(np.uint8))
    words = ["interpolate", f"{tmp_path}/s.tif", f"{tmp_path}/r.tif", "--model", "mean"]
    words += ["--repair-mask", f"{tmp_path}/m.tif"]
    assert main([*words, "--dry-run"]) == 0 and not (tmp_path / "r.tif").exists()
    assert main([*words, "--factor", "2"]) == 1
    assert "--factor does not go with it" in capsys.readouterr().err
    assert main([*words, "--z-range", "1", "6", "--replace", "4"]) == 0
    result = open_volume(tmp_path / "r.tif")
    assert result.shape == (5, 96, 96) and set(result.partial) == {2} and result.synthetic == (3,)
    assert main(["info", f"{tmp_path}/r.tif", "--no-check"]) == 0
    assert f"part computed 1 slices: 2, {mask.sum()} pixels" in capsys.readouterr().out


def test_what_a_mask_says_of_itself() -> None:
    mask = blob((5, 96, 96), 1)
    mask[3, ::2, ::2] = True  # more parts than boxes
    made = RepairMask.of(mask, (5, 96, 96))
    assert made.slices == (1, 3) and made.whole_slices == ()
    for z in range(5):
        np.testing.assert_array_equal(made.at(z), mask[z])
    part = made.partial()[3]
    assert part.pixels == 48 * 48 and 1 <= len(part.boxes) <= 16


def test_a_repair_goes_on_after_a_kill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slices that are written are not computed again; other settings are refused, with a remedy."""
    stack = tissue(7, 64)
    marked = np.zeros(stack.shape, np.uint8)
    marked[2, 10:20, 10:30] = marked[4, 30:40, 5:25] = 1
    tifffile.imwrite(tmp_path / "s.tif", stack)
    tifffile.imwrite(tmp_path / "m.tif", marked)
    words = ["interpolate", f"{tmp_path}/s.tif", f"{tmp_path}/r.zarr", "--model", "mean"]
    words += ["--repair-mask", f"{tmp_path}/m.tif"]
    volume, mask = open_volume(tmp_path / "s.tif"), RepairMask.of(marked, stack.shape)
    model = open_model("mean")
    events = repair_to_file(volume, tmp_path / "r.zarr", mask, model)
    assert any(isinstance(e, SliceReady) and e.index == 3 for e in events)  # stops there
    events.close()
    assert not (tmp_path / "r.zarr").exists() and (tmp_path / ".r.zarr.unfinished.zarr").is_dir()

    tifffile.imwrite(tmp_path / "n.tif", marked[:, ::-1].copy())
    assert main([*words[:-1], f"{tmp_path}/n.tif"]) == 1
    assert "begun with other settings (mask): repeat" in capsys.readouterr().err
    assert main(words[:-2]) == 1  # block by block
    assert "was begun slice by slice" in capsys.readouterr().err

    made = [e for e in repair_to_file(volume, tmp_path / "r.zarr", mask, model)]
    computed = [e.index for e in made if isinstance(e, SliceReady)]
    assert computed == list(range(computed[0], 7)) and computed[0] > 3
    list(repair_to_file(volume, tmp_path / "whole.tif", mask, model))
    found, whole = (open_volume(tmp_path / name) for name in ("r.zarr", "whole.tif"))
    np.testing.assert_array_equal(found.data.compute(), whole.data.compute())
    assert found.partial == whole.partial and set(found.partial) == {2, 4}
    assert sorted(p.name for p in (tmp_path / "r.zarr").iterdir()) == ["0", "zarr.json"]
    assert not list(tmp_path.glob(".r.zarr*"))


def test_a_repair_begins_again_on_request(tmp_path: Path) -> None:
    stack = tissue(5, 64)
    marked = np.zeros(stack.shape, np.uint8)
    marked[2, 10:20, 10:30] = 1
    volume, model = Volume(da.from_array(stack)), open_model("mean")
    events = repair_to_file(volume, tmp_path / "r.zarr", RepairMask.of(marked, stack.shape), model)
    next(e for e in events if isinstance(e, SliceReady))
    events.close()
    other = RepairMask.of(marked[:, ::-1].copy(), stack.shape)
    with pytest.raises(TsainError, match="begin again"):
        list(repair_to_file(volume, tmp_path / "r.zarr", other, model))
    again = list(repair_to_file(volume, tmp_path / "r.zarr", other, model, restart=True))
    assert sum(isinstance(e, SliceReady) for e in again) == 5
