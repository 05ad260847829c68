"""The brightness of computed slices, from more slices than the pair."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from numpy.typing import NDArray

import tsain_core as tsain
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.evaluation.leave_one_out import grey_scale, leave_out
from tsain_core.inference.brightness import (
    Brighter,
    choose_slices,
    find_shifts,
    shifts_of,
    slice_levels,
)
from tsain_core.inference.models import BaselineModel, InferenceSettings, run_to_end
from tsain_core.interpolation.interpolate import SliceReady, interpolate
from tsain_core.interpolation.schedule import by_factor
from tsain_core.repairing import RepairMask, repair
from tsain_core.stack_check import check_stack, mix_model
from tsain_core.volumes import Volume, create_volume, open_volume


def grains(levels: Any, side: int = 40) -> NDArray[np.uint8]:
    """Slices of grain with these mean grey values."""
    noise = np.random.default_rng(2).normal(0, 9, (len(levels), side, side))
    noise -= noise.mean((1, 2), keepdims=True)
    return np.clip(np.rint(noise + np.reshape(levels, (-1, 1, 1))), 1, 254).astype(np.uint8)


def jumping(depth: int = 30) -> NDArray[np.float64]:
    """Brightness that is another accident for each slice."""
    return np.random.default_rng(7).normal(128, 20, depth)


@pytest.mark.parametrize("chunks", [(1, 40, 40), (4, 40, 40), (4, 16, 16)])
def test_levels_are_those_of_the_tissue(chunks: tuple[int, int, int]) -> None:
    stack = grains([50, 90, 130, 70, 110])
    stack[1, :, :30] = 0  # padding
    volume = Volume(da.from_array(stack, chunks=chunks), synthetic=(3,))
    found = slice_levels(volume, [4, 2, 1, 3, 9, -1])
    assert sorted(found) == [1, 2, 4]
    assert [found[z] for z in (1, 2, 4)] == pytest.approx([90, 130, 110], abs=2)
    floats = stack.astype(np.float32)
    floats[2] = np.nan
    assert sorted(slice_levels(floats, range(5))) == [0, 1, 3, 4]


def test_large_slices_are_read_in_patches_spread_over_them() -> None:
    stack = np.ones((2, 900, 700), np.uint8)
    stack[0, :128, :128] = stack[0, -128:, -128:] = 91
    read = []

    class Seen(Volume):
        def read(self, z: slice, y: slice, x: slice) -> NDArray[Any]:
            read.append((y.start, x.start))
            return super().read(z, y, x)

    volume = Seen(da.from_array(stack, chunks=(1, 128, 128)))
    assert slice_levels(volume, [0]) == {0: pytest.approx(1 + 2 * 90 / 9)}
    assert read == [(y, x) for y in (0, 386, 772) for x in (0, 286, 572)]


def test_slices_that_cannot_be_read_are_left_out() -> None:
    stack = grains([50, 90, 130])

    class Broken(Volume):
        def read(self, z: slice, y: slice, x: slice) -> NDArray[Any]:
            if z.start <= 1 < z.stop:
                raise TsainError("damaged")
            return super().read(z, y, x)

    found = slice_levels(Broken(da.from_array(stack, chunks=(3, 8, 8))), range(3))
    assert found == {0: pytest.approx(50, abs=1), 2: pytest.approx(130, abs=1)}


def test_more_slices_where_brightness_jumps_and_the_pair_where_it_drifts() -> None:
    random = np.random.default_rng(3)
    jumps, drifts = [], []
    for _ in range(20):
        steps = random.normal(0, 5, 40)
        jumps.append(choose_slices(dict(enumerate(steps))))
        drifts.append(choose_slices(dict(enumerate(steps.cumsum()))))
    assert np.mean(jumps) > 4
    assert jumps.count(1) <= 5  # where the pair did well by chance
    assert drifts.count(1) >= 18  # or seem to jump by chance
    assert choose_slices(dict.fromkeys(range(9), 7.0)) == 1
    assert choose_slices(dict(enumerate(random.normal(0, 5, 7)))) == 1  # 5 slices tell too little


def test_nearer_slices_count_more() -> None:
    levels = {0: 10.0, 1: 40.0, 2: 20.0, 4: 60.0, 5: 30.0}
    # two on each side weigh 2 and 1; slice 3 is not known
    assert shifts_of(levels, [(2, 4)], 2) == {2: (40 + 2 * 20 + 2 * 60 + 30) / 6 - 40}
    assert shifts_of(levels, [(0, 1)], 2) == {0: (2 * 10 + 2 * 40 + 20) / 5 - 25}
    assert shifts_of(levels, [(2, 3), (2, 4)], 1) == {2: 0.0}  # of slice 3 nothing can be said


def test_damaged_slices_do_not_count() -> None:
    levels = jumping(12)
    stack = grains(levels)
    stack[4] = 200
    known = {z: v for z, v in slice_levels(stack, range(12)).items() if z != 4}
    assert find_shifts(stack, [(6, 7)], 3, {4}) == shifts_of(known, [(6, 7)], 3)
    assert find_shifts(stack, [(6, 7)], 3) != find_shifts(stack, [(6, 7)], 3, {4})
    assert find_shifts(stack, [(6, 7)], 1) == {}


def test_nothing_changes_beside_real_slices() -> None:
    brighter = Brighter(8.0, None)
    image = np.ones((2, 2), np.float32)
    assert [brighter.add(image, Fraction(i, 4))[0, 0] - 1 for i in range(5)] == [0, 6, 8, 6, 0]


def test_slices_get_it_and_padding_and_real_slices_do_not() -> None:
    stack = grains(jumping(10))
    stack[:, :, :5] = 0
    schedule = by_factor(10, 4, (5,), exact=True)
    shifts = find_shifts(
        stack, [(z, z + 1) for z in range(9) if z not in (4, 5)] + [(4, 6)], 3, {5}
    )
    assert schedule.brightened(stack, 3).shifts == shifts
    made = [
        [e for e in interpolate(stack, schedule, model) if isinstance(e, SliceReady)]
        for model in (BaselineModel("mean"), BaselineModel("mean", brightness_slices=3))
    ]
    moved = 0
    for plain, bright, wanted in zip(*made, schedule.slices, strict=True):
        np.testing.assert_array_equal(bright.image[:, :5], 0)
        share = float(4 * wanted.fraction * (1 - wanted.fraction))
        shift = share * shifts[wanted.before] if wanted.synthetic else 0.0
        difference = bright.image[:, 5:].astype(float) - plain.image[:, 5:]
        np.testing.assert_allclose(difference, shift, atol=1)
        moved += abs(shift) > 5
    assert moved > 5


def test_a_slice_masked_as_a_whole_gets_it_as_one_that_is_replaced() -> None:
    stack = grains(jumping(10))
    stack[:, :, :5] = 0
    volume = Volume(da.from_array(stack, chunks=(1, 40, 40)))
    masked = np.zeros(stack.shape, bool)
    masked[5] = True
    masked[7, 10:20, 10:20] = True
    model = BaselineModel("mean", brightness_slices=3)
    ways = (
        repair(volume, RepairMask.of(masked, stack.shape), model),
        interpolate(stack, by_factor(10, 1, (5,), exact=True), model),
        repair(volume, RepairMask.of(masked, stack.shape), BaselineModel("mean")),
    )
    repaired, replaced, plain = (
        [event.image for event in way if isinstance(event, SliceReady)] for way in ways
    )
    np.testing.assert_array_equal(repaired[5], replaced[5])
    assert abs(repaired[5].mean() - plain[5].mean()) > 1
    np.testing.assert_array_equal(repaired[7], plain[7])  # fitted to the pixels round it


def test_evaluation_scores_what_a_run_computes() -> None:
    stack = grains(jumping(9)).astype(np.uint16) * 100
    model = BaselineModel("mean", brightness_slices=3)
    schedule = by_factor(9, 1, (4,), exact=True)
    events = interpolate(stack, schedule, model)
    made = [event.image for event in events if isinstance(event, SliceReady)][4]
    (left,) = leave_out(stack, [model], 40, slices=[4])
    (plain,) = leave_out(stack, [BaselineModel("mean")], 40, slices=[4])
    scale = grey_scale(stack)
    there = left.image.mean() - left.truth.mean()
    assert there == pytest.approx(scale * (made.mean() - stack[4].mean()), abs=0.1)
    assert abs(left.image.mean() - plain.image.mean()) > 3


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("own_cache")
def test_the_check_finds_jumps(stirred: str) -> None:
    stack = grains(jumping(60))
    check = run_to_end(check_stack(stack, [stirred]))
    found = check.mixed[stirred].brightness_slices
    assert found > 1
    gain = check.compare(f"{stirred} + mean", stirred)
    assert gain.difference > 1
    chosen = run_to_end(mix_model(stack, stirred))
    assert chosen.settings.brightness_slices == found
    assert chosen.label == f"{stirred} + mean"
    steady = run_to_end(check_stack(grains(np.linspace(90, 150, 60)), [stirred]))
    assert steady.mixed[stirred].brightness_slices == 1
    wide = stack.astype(np.uint16) * 200  # other grey values, the same judgement
    again = run_to_end(check_stack(wide, [stirred]))
    assert again.mixed[stirred].brightness_slices == found
    assert again.compare(f"{stirred} + mean", stirred).difference == pytest.approx(
        gain.difference, abs=0.3
    )


@pytest.mark.usefixtures("own_cache")
def test_the_same_on_every_way(tmp_path: Path, stirred: str) -> None:
    """Python, TIFF, and OME-Zarr in several blocks, with a slice that is replaced."""
    stack = grains(jumping(9), 96)
    path = tmp_path / "in.h5"
    with create_volume(path, stack.shape, stack.dtype) as writer:
        for z, image in enumerate(stack):
            writer.write(z, image)
    settings = InferenceSettings(brightness_slices=3, tile=32)
    expected = tsain.interpolate(stack, replace=[4], model=stirred, settings=settings)
    plain = tsain.interpolate(
        stack, replace=[4], model=stirred, settings=replace(settings, brightness_slices=1)
    )
    shift = find_shifts(stack, [(3, 5)], 3, {4})[3]
    assert abs(shift) > 3
    difference = expected[4].astype(float) - plain[4]
    np.testing.assert_allclose(np.median(difference), shift, atol=0.6)
    options = [
        "--replace",
        "4",
        "--model",
        stirred,
        "--brightness-slices",
        "3",
        "--tile",
        "32",
    ]
    for name, more in (("a.tif", []), ("b.zarr", ["--chunks", "4", "32", "32"])):
        out = tmp_path / name
        assert main(["interpolate", str(path), str(out), *options, *more]) == 0
        result = open_volume(out)
        np.testing.assert_array_equal(np.asarray(result.data), expected)
        assert result.provenance["brightness_slices"] == 3
    assert main(["interpolate", str(path), str(tmp_path / "c.tif"), "--mix", *options]) == 1
    with pytest.raises(TsainError, match="brightness of 17 slices .* expected 1 to 16"):
        InferenceSettings(brightness_slices=17)
