"""Uncertainty: fitted on slices left out, mapped over a schedule, written with the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tsain_core.blockwise.slice_run import SliceRun
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.inference.intensity import IntensityRange
from tsain_core.inference.models import BaselineModel, run_to_end, shipped_models
from tsain_core.interpolation.schedule import by_factor
from tsain_core.uncertainty import (
    Calibration,
    ErrorSample,
    calibrate_on,
    calibration_file,
    fit,
    left_out_samples,
    load_calibration,
    uncertainty_maps,
)
from tsain_core.uncertainty.calibration import LEVELS, coverage
from tsain_core.volumes import create_volume, list_datasets, open_volume


def tissue(depth: int, side: int = 64, noise: float = 6.0) -> NDArray[np.uint8]:
    """Structure that drifts with z, and grain."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(depth, side, side)), (1.5, 3, 3), mode="wrap")
    grain = noise * rng.normal(size=smooth.shape)
    return np.clip(128 + 40 * smooth / smooth.std() + grain, 0, 255).astype(np.uint8)


def write(path: Path, stack: NDArray[np.uint8]) -> Path:
    with create_volume(path, stack.shape, stack.dtype, voxel_size=(8, 4, 4)) as writer:
        for z, image in enumerate(stack):
            writer.write(z, image)
    return path


def made_up(scale: float, seed: int) -> ErrorSample:
    """Errors whose variance is 2 x views + 0.5 x overall, in grey values of a scale."""
    rng = np.random.default_rng(seed)
    features = rng.gamma(2, 1, (3, 4000)).astype(np.float32)
    features[2] = 1.5
    variance = 2 * features[1] + 0.5 * features[2]
    error = rng.normal(0, np.sqrt(variance)).astype(np.float32)
    return ErrorSample(features * np.float32(scale**2), error * np.float32(scale))


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_intervals_hold_what_they_say_whatever_the_grey_values(scale: float) -> None:
    found = fit([made_up(scale, seed) for seed in range(4)])
    ratio = np.array(found.weights) / found.weights[1]
    assert ratio[0] < 0.15 and ratio[2] == pytest.approx(0.25, abs=0.15)
    for level in LEVELS:
        (share,) = coverage([made_up(scale, 9)], found, level)
        assert share == pytest.approx(level, abs=0.03)


def test_a_calibration_on_some_slices_holds_on_the_others() -> None:
    stack, model = tissue(24), BaselineModel("mean")
    samples = list(left_out_samples(stack, model, range(1, 23)))
    shares = coverage(samples[::2], fit(samples[1::2]))
    assert np.mean(shares) == pytest.approx(0.9, abs=0.03)
    found = run_to_end(calibrate_on(stack, model, triplets=6))
    assert found.slices == 6


def test_maps_of_a_schedule() -> None:
    stack, model = tissue(4, 48), BaselineModel("mean")
    stack[2:, :24] = stack[1, :24]  # the upper half does not change
    found = Calibration((1.0, 1.0, 0.0), tuple(np.linspace(0.1, 2, len(LEVELS))), 1)
    schedule = by_factor(4, 4, exact=True)
    maps = list(uncertainty_maps(stack, schedule, model, found, IntensityRange(0, 255)))
    assert [m.index for m in maps] == list(range(len(schedule.slices)))
    for made, wanted in zip(maps, schedule.slices, strict=True):
        assert made.image.dtype == np.uint8 and made.image.any() == wanted.synthetic
    middle = maps[6].image
    assert middle[:8].max() <= 1 < middle[32:].min()
    turned = stack[::-1].copy()
    again = list(uncertainty_maps(turned, schedule, model, found, IntensityRange(0, 255)))
    for a, b in zip(maps, reversed(again), strict=True):
        assert np.abs(a.image.astype(int) - b.image).max() <= 1


@pytest.mark.parametrize("ending", ["zarr", "h5", "tif"])
def test_maps_lie_with_the_result(tmp_path: Path, ending: str) -> None:
    source = str(write(tmp_path / "in.tif", tissue(8)))
    alone, result = tmp_path / f"alone.{ending}", tmp_path / f"out.{ending}"
    command = ["-q", "--model", "mean", "--factor", "2"]
    assert main(["interpolate", source, str(alone), *command]) == 0
    assert main(["interpolate", source, str(result), *command, "--uncertainty"]) == 0
    one, other = open_volume(alone), open_volume(result)
    np.testing.assert_array_equal(one.data.compute(), other.data.compute())
    assert one.synthetic == other.synthetic and one.voxel_size == other.voxel_size
    if ending == "tif":
        maps = open_volume(tmp_path / "out-uncertainty.tif")
    else:
        inside = {"zarr": "uncertainty", "h5": "volumes/uncertainty"}[ending]
        assert any(name.startswith(inside) for name in list_datasets(result))
        maps = open_volume(result, dataset=inside)
    assert (maps.shape, maps.voxel_size) == (other.shape, other.voxel_size)
    values = maps.data.compute()
    assert not values[::2].any() and values[1::2].min() > 0
    about = maps.provenance["uncertainty"]
    assert about["of"] == result.name and Calibration.from_json(about["calibration"]).slices == 6
    left = {p.name for p in tmp_path.iterdir()}
    assert not [name for name in left if name.startswith(".") and "lock" not in name]
    assert main(["interpolate", source, str(result), *command, "--uncertainty"]) == 1
    again = ["interpolate", source, str(result), *command, "--uncertainty", "--overwrite"]
    assert main(again) == 0


def test_what_cannot_have_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(write(tmp_path / "in.tif", tissue(3)))
    out = str(tmp_path / "out.tif")
    command = ["interpolate", source, out, "-q", "--model", "mean", "--uncertainty"]
    assert main([*command[:2], "s3://bucket/out.zarr", *command[3:]]) == 1
    assert "s3://bucket/out.zarr does not go with --uncertainty" in capsys.readouterr().err
    (tmp_path / "out-uncertainty.tif").write_text("mine")
    assert main(command) == 1
    assert "out-uncertainty.tif exists" in capsys.readouterr().err
    assert not Path(out).exists()


def test_calibrations_that_come_with_models(tmp_path: Path) -> None:
    found = [calibration_file(path) for path in shipped_models().values()]
    there = [path for path in found if path.is_file()]
    assert {path.name for path in there} >= {"tsain-lite.uncertainty.json"}
    for path in there:
        assert load_calibration(path).slices >= 20
    values = json.loads(there[0].read_text())
    for key, wrong in (("weights", [1, 2]), ("weights", [-1, 0, 1]), ("quantiles", [1] * 3)):
        (tmp_path / "c.json").write_text(json.dumps({**values, key: wrong}))
        with pytest.raises(TsainError, match="calibrat"):
            load_calibration(tmp_path / "c.json")
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(TsainError, match="cannot be read"):
        load_calibration(tmp_path / "c.json")


def test_maps_go_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the result nor its maps have a name until both are done; nothing is made twice."""
    source = str(write(tmp_path / "in.tif", tissue(8)))
    command = ["-q", "--model", "mean", "--factor", "2", "--uncertainty"]
    assert main(["interpolate", source, str(tmp_path / "whole.zarr"), *command]) == 0
    written: list[int] = []
    real = SliceRun.write

    def counted(self: SliceRun, z: int, image: Any) -> None:
        if len(written) == 6:
            raise KeyboardInterrupt
        written.append(z)
        real(self, z, image)

    result = tmp_path / "out.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(SliceRun, "write", counted)
        assert main(["interpolate", source, str(result), *command]) != 0
        assert not result.exists()
    with monkeypatch.context() as patch:
        written.clear()
        patch.setattr(SliceRun, "write", lambda *a: (written.append(a[1]), real(*a)))
        calibrated = "tsain_core.uncertainty.to_file.find_calibration"
        patch.setattr(calibrated, lambda *_: pytest.fail("calibrated again"))
        assert main(["interpolate", source, str(result), *command]) == 0
    assert written == list(range(6, 15))
    maps = [
        open_volume(tmp_path / name, dataset="uncertainty") for name in ("whole.zarr", "out.zarr")
    ]
    np.testing.assert_array_equal(maps[0].data.compute(), maps[1].data.compute())
    assert maps[0].digests == maps[1].digests and maps[1].digests.keys() == set(range(1, 15, 2))
    names = {"0", "uncertainty", "zarr.json"}
    assert {path.name for path in result.iterdir()} == names
    assert {path.name for path in (result / "uncertainty").iterdir()} == {"0", "zarr.json"}
