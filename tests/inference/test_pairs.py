"""Pairs of slices are looked at before a run, and brought together where that is wanted."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

import tsain_core as tsain
from tsain_core.blockwise import BlockDone, RunStarted, interpolate_blockwise
from tsain_core.cli import main
from tsain_core.cli.as_command import as_command
from tsain_core.errors import TsainError, TsainWarning
from tsain_core.inference.models import BaselineModel, InferenceSettings, open_model, run_to_end
from tsain_core.inference.pairing import aligned, brightness_matched, find_shift
from tsain_core.interpolation.request import InterpolationRequest
from tsain_core.interpolation.schedule import between, by_factor
from tsain_core.interpolation.to_file import interpolate_to_file
from tsain_core.stack_check import Advice, check_pairs
from tsain_core.volumes import Volume, open_volume
from tsain_core.volumes.zarr_layout import ZarrLayout

HALF = Fraction(1, 2)


def tissue(depth: int = 12, side: int = 200, sigma_z: float = 2.0) -> Any:
    """Structures that go on from slice to slice, with noise."""
    random = np.random.default_rng(7)
    texture = gaussian_filter(random.normal(0, 1, (depth + 12, side, side)), (sigma_z, 3, 3))[6:-6]
    stack = 125 + 35 * texture / texture.std() + random.normal(0, 5, texture.shape)
    return np.clip(stack, 0, 255).astype(np.uint8)


def advice(stack: Any, schedule: Any = None, **more: bool) -> dict[str, Advice]:
    volume = Volume(da.from_array(stack, chunks=(1, -1, -1)))
    found = run_to_end(check_pairs(volume, schedule or by_factor(len(stack), 2), **more))
    return {one.kind: one for one in found}


def test_nothing_is_said_of_a_sound_stack() -> None:
    assert advice(tissue()) == {}


@pytest.mark.parametrize("lost", [0, 255, 90])
def test_lost_sections_come_with_the_replace_that_mends_them(lost: int) -> None:
    stack = tissue()
    stack[[4, 5, 9]] = lost
    found = advice(stack)
    assert set(found) == {"lost"} and found["lost"].slices == (4, 5, 9)
    assert "replace=4-5,9" in str(found["lost"])
    assert advice(stack, by_factor(12, 2, (4, 5, 9))) == {}  # they are replaced
    stack = tissue()
    stack[0] = 0
    assert "leave it out" in str(advice(stack)["lost"])


def test_wide_gaps_and_strangers_are_named() -> None:
    stack = tissue(sigma_z=4)
    assert advice(stack, by_factor(12, 1, (3, 4, 5)))["wide"].slices == (2, 6)
    stack[6:] = tissue(24, sigma_z=4)[-6:]  # of another place
    found = advice(stack)
    assert found["unlike"].slices == (5, 6) and "5 and 6" in str(found["unlike"])
    assert "wide" not in advice(stack, between(12, 2, 9, 2))


@pytest.mark.parametrize("by", [(9, 0), (-6, 14)])
def test_misaligned_pairs_are_named_and_aligned(by: tuple[int, int]) -> None:
    stack = tissue(side=256)
    moved = stack.copy()
    moved[6:] = np.roll(moved[6:], by, (1, 2))
    found = advice(moved)
    assert set(found) == {"shifted"} and found["shifted"].slices == (5, 6)
    assert "align" in found["shifted"].text
    assert advice(moved, align=True) == {}
    first, second = (moved[z].astype(np.float32) / 255 for z in (5, 6))
    assert find_shift(first, second) == by
    # at either end nothing is moved that is real there
    for fraction, index, real in ((Fraction(0), 0, first), (Fraction(1), 1, second)):
        np.testing.assert_array_equal(aligned(first, second, fraction)[index], real)
    inner = np.s_[20:-20, 20:-20]
    truth = np.roll((stack[5].astype(np.float32) + stack[6]) / 510, [b // 2 for b in by], (0, 1))
    errors = []
    for settings in (InferenceSettings(), InferenceSettings(align=True)):
        model = open_model("mean", settings)
        computed = run_to_end(model.between(first, second, HALF))
        errors.append(np.abs(computed - truth)[inner].mean())
    assert errors[1] < 0.35 * errors[0]
    assert model.provenance()["aligned"] is True and model.tiled is None


def test_large_slices_are_aligned_to_the_pixel() -> None:
    random = np.random.default_rng(0)
    big = gaussian_filter(random.normal(0, 1, (1400, 1300)), 3).astype(np.float32)
    assert find_shift(big[:-60, :-60], big[37:-23, 11:-49]) == (-37, -11)
    assert find_shift(big[:600, :600], big[700:1300, 600:1200]) == (0, 0)  # nothing is sure


def test_brightness_is_named_and_matched() -> None:
    stack = tissue()
    jump = stack.copy()
    jump[7] = np.clip(jump[7] * 0.5 + 20, 0, 255)
    found = advice(jump)
    assert set(found) == {"brightness"} and set(found["brightness"].slices) == {6, 7, 8}
    assert advice(jump, match_brightness=True) == {}
    first, second = (jump[z].astype(np.float32) for z in (6, 7))
    for fraction in (Fraction(0), Fraction(1, 4), Fraction(1)):
        pair = brightness_matched(first, second, fraction)
        share = float(fraction)
        for statistic in (np.mean, np.std):
            wanted = (1 - share) * statistic(first) + share * statistic(second)
            np.testing.assert_allclose([statistic(p) for p in pair], wanted, rtol=0.02)
    flat = np.full((20, 20), 3, np.float32)
    np.testing.assert_allclose(brightness_matched(flat, flat + 4, HALF), 5)


def test_only_some_chunks_of_a_large_stack_are_read() -> None:
    read: list[int] = []

    def block(block_info: Any = None) -> Any:
        (z, _), *_ = block_info[None]["array-location"]
        read.append(z)
        return np.zeros((1, 8192, 8192), np.uint8)

    shape = (3000, 8192, 8192)
    chunks = ((1,) * shape[0], (8192,), (8192,))
    data = da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    run_to_end(check_pairs(Volume(data), by_factor(3000, 2)))
    assert 2 <= len(read) <= 2 * 24 + 2


def test_values_that_are_missing_are_no_fault() -> None:
    stack = tissue().astype(np.float32)
    stack[3, :, :60] = np.nan
    assert advice(stack) == {}
    stack[5] = np.nan
    assert advice(stack)["lost"].slices == (5,)


def test_a_model_without_adjustment_is_the_model_itself() -> None:
    assert isinstance(open_model("mean"), BaselineModel)


@pytest.mark.parametrize("name", ["r.tif", "r.zarr"])
def test_the_command_and_python_say_it_and_do_it(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str], caplog: Any
) -> None:
    stack = tissue(6, 128)
    stack[4] = 0
    tifffile.imwrite(tmp_path / "s.tif", stack)
    words = ["interpolate", f"{tmp_path}/s.tif", f"{tmp_path}/{name}", "--model", "mean"]
    assert main(words) == 0
    assert "--replace 4" in capsys.readouterr().err + caplog.text
    more = ["--overwrite", "--align", "--match-brightness", "--replace", "4"]
    assert main([*words, *more]) == 0
    result = open_volume(tmp_path / name)
    assert result.synthetic == (4,) and result.provenance["aligned"] is True
    np.testing.assert_array_equal(result.data.compute()[[0, 1, 2, 3, 5]], stack[[0, 1, 2, 3, 5]])
    with pytest.warns(TsainWarning, match="replace=4"):
        tsain.interpolate(stack, model="mean")
    assert main([*words, *more, "--memory", "2GiB"]) == 1
    assert "leave out --align" in capsys.readouterr().err
    request = InterpolationRequest(
        "s.tif", "r.tif", inference=InferenceSettings(align=True), labels="l.tif"
    )
    assert {"--align", "--labels"} < set(as_command(request).split())


@pytest.mark.parametrize("model", ["mean", "tsain-lite"])
def test_a_run_with_adjusted_pairs_goes_on(tmp_path: Path, model: str) -> None:
    """Stopped after a block and repeated: as if it had never been stopped, and only as it began."""
    stack = tissue(7, 64)
    stack[3:] = np.roll(stack[3:], (6, -4), (1, 2))
    tifffile.imwrite(tmp_path / "s.tif", stack)
    settings = InferenceSettings(device="cpu", align=True, match_brightness=True)
    layout = ZarrLayout("0.5", chunks=(2, 64, 64))
    request = InterpolationRequest(
        f"{tmp_path}/s.tif", f"{tmp_path}/r.zarr", model=model, inference=settings, layout=layout
    )
    events = interpolate_blockwise(request)
    assert any(isinstance(event, BlockDone) for event in events)  # which stops after the first
    events.close()
    assert not (tmp_path / "r.zarr").exists()
    with pytest.raises(TsainError, match="begun with other settings"):
        list(interpolate_blockwise(replace(request, inference=InferenceSettings(device="cpu"))))
    told = list(interpolate_blockwise(request))
    assert isinstance(told[0], RunStarted) and told[0].done >= 1
    list(
        interpolate_to_file(
            open_volume(tmp_path / "s.tif"),
            tmp_path / "whole.tif",
            request.schedule(open_volume(tmp_path / "s.tif"), told[0].plan.any_position),
            told[0].plan.open_model(),
            told[0].plan.intensity,
        )
    )
    found, whole = (open_volume(tmp_path / name) for name in ("r.zarr", "whole.tif"))
    np.testing.assert_array_equal(found.data.compute(), whole.data.compute())
    assert found.provenance["aligned"] is True and found.synthetic == whole.synthetic
