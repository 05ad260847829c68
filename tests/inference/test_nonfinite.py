"""NaN and infinity in a stack: computed slices are finite wherever one neighbour is."""

from __future__ import annotations

import copy
from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray

from support.blockwise import cut_small, finish
from support.slice_models import wrap
from tsain_core.blockwise import InterpolationRequest
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.evaluation.leave_one_out import evaluate, mean_by_model
from tsain_core.inference.intensity import IntensityRange, Scaling, estimate_range
from tsain_core.inference.models import BASELINES, BaselineModel, SliceModel, TileDone
from tsain_core.inference.nonfinite import fill_pair
from tsain_core.interpolation.estimate import run_cost
from tsain_core.interpolation.interpolate import SliceReady, interpolate
from tsain_core.interpolation.schedule import by_factor
from tsain_core.interpolation.selection import SliceSelection
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.training.data import TripletSource
from tsain_core.volumes import open_volume
from tsain_core.volumes.zarr_layout import halve

HOLES = {
    "island": (1, slice(10, 20), slice(20, 30)),
    "one pixel at the edge": (1, 0, 0),
    "first slice": (0, slice(5, 9), slice(None)),
    "in all slices": (slice(None), slice(30, 40), slice(0, 12)),
    "a whole slice": (2, slice(None), slice(None)),
    "two whole slices": (slice(2, 4), slice(None), slice(None)),
}


def stack(hole: str, value: float = np.nan, depth: int = 5) -> NDArray[np.float32]:
    data = em_phantom((depth, 64, 64), seed=2).astype(np.float32)
    data[HOLES[hole]] = value
    return data


def check(source: NDArray[Any], result: NDArray[Any], factor: int) -> None:
    """Computed slices are finite but where both neighbours are not; real ones are the source's."""
    assert result.shape[0] == (len(source) - 1) * factor + 1
    for i, image in enumerate(result):
        z, part = divmod(i, factor)
        if not part:
            np.testing.assert_array_equal(image, source[z])
            continue
        nowhere = ~np.isfinite(source[z]) & ~np.isfinite(source[z + 1])
        np.testing.assert_array_equal(np.isnan(image), nowhere)
        assert np.isfinite(image[~nowhere]).all()


def computed(data: NDArray[Any], model: SliceModel, factor: int = 2) -> NDArray[Any]:
    events = interpolate(data, by_factor(len(data), factor, exact=model.any_position), model)
    return np.stack([e.image for e in events if isinstance(e, SliceReady)])


@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_baseline(hole: str, value: float) -> None:
    data = stack(hole, value)
    for name in BASELINES:
        check(data, computed(data, BaselineModel(name)), 2)


@pytest.mark.parametrize("hole", HOLES)
def test_network_halving_detail_and_passes(hole: str, stirred_network: TSAIN) -> None:
    data = stack(hole)
    model = wrap(stirred_network, detail=0.9, ensemble=2, tile=32, halo=16)
    check(data, computed(data, model, 4), 4)


def test_holes_do_not_change_pixels_far_away() -> None:
    whole = stack("island", 100.0)
    one = computed(whole, BaselineModel("mean"))
    other = computed(stack("island"), BaselineModel("mean"))
    away = np.ones((64, 64), bool)
    away[10:20, 20:30] = False
    np.testing.assert_allclose(other[1][away], one[1][away], rtol=1e-5)
    # where one slice has nothing, the mean is what the other has
    np.testing.assert_allclose(other[1][~away], whole[0][~away], rtol=1e-5)


def test_finite_slices_stay_the_same_objects() -> None:
    before, after = np.zeros((2, 8, 8), np.float32)
    pair = fill_pair(before, after)
    assert pair.before is before and pair.after is after and pair.hole is None


@pytest.mark.parametrize("hole", ["island", "in all slices", "two whole slices"])
@pytest.mark.parametrize("model", ["mean", "optical-flow", "network"])
def test_same_in_every_format(
    tmp_path: Path, hole: str, model: str, stirred_network: TSAIN
) -> None:
    source = tmp_path / "source.tif"
    tifffile.imwrite(source, stack(hole))
    name = model
    if model == "network":
        name = str(tmp_path / "small.safetensors")
        save(name, stirred_network, ModelInfo("small", stirred_network.settings))
    results = []
    for suffix in (".tif", ".h5", ".zarr"):
        output = tmp_path / f"out{suffix}"
        assert main(["interpolate", str(source), str(output), "--model", name]) == 0
        volume = open_volume(output)
        results.append(np.stack([volume[z] for z in range(volume.shape[0])]))
        check(stack(hole), results[-1], 2)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(results[0], results[2], atol=0.01)


def test_blocks_that_cut_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shallow_blocks: None
) -> None:
    data = em_phantom((5, 160, 200), seed=2).astype(np.float32)
    data[2, 40:90, 100:150] = np.nan  # across blocks of 64 x 64 pixels
    data[3, 50:70, 120:140] = np.inf
    source = tmp_path / "source.tif"
    tifffile.imwrite(source, data)
    cut_small(monkeypatch)
    spec = InterpolationRequest(str(source), str(tmp_path / "out.zarr"), model="mean")
    spec = replace(spec, layout=replace(spec.layout, chunks=(1, 64, 64)))
    plan, done = finish(replace(spec, selection=SliceSelection(factor=2)))
    assert len(plan.grids()[0]) > 4
    result = open_volume(spec.output)
    check(data, np.stack([result[z] for z in range(9)]), 2)
    assert done.without_data == 20 * 20


class Broken:
    """A method whose slices are not finite."""

    name, any_position, scaling, detail = "broken", True, Scaling((0.0, 100.0)), 0.0
    mix_shares = None
    brightness_slices = 1

    def __init__(self, value: float) -> None:
        self.value = value

    def between(
        self, before: Any, after: Any, fraction: Fraction = Fraction(1, 2)
    ) -> Generator[TileDone, None, Any]:
        yield TileDone(1, 1)
        image = before.copy()
        image[3, 3] = self.value
        return image

    def provenance(self) -> dict[str, object]:
        return {"model": self.name}


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_output_that_is_not_finite_is_refused(value: float, dtype: type) -> None:
    data = em_phantom((3, 32, 32), seed=0).astype(dtype)
    with pytest.raises(TsainError, match="broken computed values that are not finite"):
        computed(data, Broken(value))
    with pytest.raises(TsainError, match="not finite"):
        list(evaluate(data, [Broken(value)]))


def test_a_network_that_overflows_leaves_no_file(
    tmp_path: Path, stirred_network: TSAIN, capsys: pytest.CaptureFixture[str]
) -> None:
    network = copy.deepcopy(stirred_network)
    with torch.no_grad():
        network.reconstruction.last.weight.fill_(3e38)
    model = tmp_path / "huge.safetensors"
    save(model, network, ModelInfo("huge", network.settings))
    tifffile.imwrite(tmp_path / "s.tif", em_phantom((5, 64, 64), seed=0))
    for suffix in (".tif", ".h5", ".zarr"):
        output = tmp_path / f"out{suffix}"
        words = ["interpolate", str(tmp_path / "s.tif"), str(output), "--model", str(model)]
        assert main(words) == 1
        assert "not finite" in capsys.readouterr().err
        assert not output.exists()


def test_scores_count_finite_pixels_only() -> None:
    clean = em_phantom((4, 64, 64), seed=2).astype(np.float32)
    holes = clean.copy()
    holes[1, 10:20, 10:20] = np.nan
    models = [BaselineModel("mean"), BaselineModel("optical-flow")]
    whole, part = (mean_by_model(evaluate(data, models)) for data in (clean, holes))
    for name, scores in part.items():
        assert np.isfinite([scores.psnr, scores.structure, scores.ssim, scores.ie]).all()
        assert scores.psnr == pytest.approx(whole[name].psnr, abs=0.5)
        assert scores.ssim == pytest.approx(whole[name].ssim, abs=0.05)
    holes[:, :, :] = np.nan
    holes[0] = clean[0]
    with pytest.raises(TsainError, match="No triplet"):
        list(evaluate(holes, models))


def test_range_cost_and_pyramid() -> None:
    data = stack("island", np.inf)
    assert estimate_range(data).most < 256
    assert np.isfinite(halve(data[1])).sum() == 32 * 32 - 25
    assert halve(np.array([[1, np.nan], [3, np.inf]], np.float32)) == 2


def test_cost_of_a_stack_that_begins_with_nothing(tmp_path: Path, stirred_network: TSAIN) -> None:
    data = stack("first slice")
    data[0] = np.nan
    tifffile.imwrite(tmp_path / "s.tif", data)
    volume = open_volume(tmp_path / "s.tif")
    assert run_cost(volume, by_factor(5, 2), wrap(stirred_network)).seconds > 0


def test_training_triplets_are_finite() -> None:
    data = stack("island", depth=7)
    data[4] = np.nan
    source = TripletSource(data, estimate_range(data))
    rng = np.random.default_rng(0)
    assert all(np.isfinite(source.draw(rng, 32)[0]).all() for _ in range(40))
    assert all(np.isfinite(triplet).all() for triplet in source.fixed(64))


@pytest.mark.parametrize("lo, hi", [(0, 1e-50), (0, np.inf), (-3e38, 3e38), (5, 5), (np.nan, 1)])
def test_ranges_that_float32_cannot_scale(lo: float, hi: float) -> None:
    with pytest.raises(TsainError, match="intensity range"):
        IntensityRange(lo, hi)


@pytest.mark.em_data
@pytest.mark.parametrize("name, holes", [("nan", 100), ("inf", 1), ("nanmean", 100)])
def test_the_cases(em_data: Path, tmp_path: Path, name: str, holes: int) -> None:
    source = em_data / "cases" / f"{name}.tif"
    data = tifffile.imread(source)
    assert (~np.isfinite(data)).sum() == holes
    for suffix in (".tif", ".zarr"):
        output = tmp_path / f"out{suffix}"
        assert main(["interpolate", str(source), str(output), "--model", "mean"]) == 0
        volume = open_volume(output)
        check(data, np.stack([volume[z] for z in range(volume.shape[0])]), 2)
    scores = mean_by_model(evaluate(open_volume(source), [BaselineModel("mean")]))["mean"]
    assert np.isfinite([scores.psnr, scores.ssim, scores.structure, scores.sharpness]).all()
