"""The check of models on a stack: what is scored, kept and said, and which model is chosen."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import ttest_1samp

import tsain_core as tsain
from tsain_core.blockwise import InterpolationRequest
from tsain_core.blockwise.planning import make_plan
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.evaluation.metrics import Scores
from tsain_core.inference.models import BASELINES, InferenceSettings, run_to_end
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN
from tsain_core.stack_check import StackCheck, check_stack, choose_model
from tsain_core.stack_check.triplets import Triplets
from tsain_core.volumes import create_volume, open_volume


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "checks"


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory, stirred_network: TSAIN) -> str:
    """A network that adds noise to the mean of neighbours."""
    path = tmp_path_factory.mktemp("model") / "poor.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = copy.deepcopy(stirred_network)
        for parameter in network.reconstruction.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    save(path, network, ModelInfo("poor", network.settings))
    return str(path)


def smooth_stack(depth: int = 9, side: int = 48, seed: int = 0) -> NDArray[np.uint8]:
    """Clean structure that changes evenly along z: the mean of neighbours is nearly right."""
    noise = np.random.default_rng(seed).normal(size=(depth, side, side))
    smooth = gaussian_filter(noise, (3, 1.5, 1.5), mode="wrap")
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def even_stack() -> NDArray[np.uint8]:
    """Every grey value changes by the same from slice to slice: the mean of neighbours is right."""
    first, steps = smooth_stack(2).astype(int)
    return np.stack([first // 2 + z * (steps // 32) for z in range(9)]).astype(np.uint8)


def test_a_model_that_is_worse_is_called_worse(poor: str) -> None:
    check = run_to_end(check_stack(smooth_stack(), [poor]))
    verdict = check.verdict(poor)
    assert verdict.outcome == "worse"
    assert check.best() == verdict.other == "mean"
    assert verdict.triplets == 7
    sentence = verdict.sentence()
    assert f"{-verdict.difference:.1f} dB worse than the mean of neighbours" in sentence
    assert sentence.endswith("Fine-tune it, or use the mean of neighbours.")
    assert "better than" in check.verdict("mean").sentence()
    assert {"mean", "optical-flow"} <= {line.split()[0] for line in check.table(poor).splitlines()}


def test_what_was_checked_before_is_not_computed_again(
    poor: str, own_cache: Path, stirred_network: TSAIN, tmp_path: Path
) -> None:
    stack = smooth_stack()
    first = list(check_stack(stack, [poor]))
    assert first[-1].done == first[-1].total == 7 * (1 + len(BASELINES))
    assert list(check_stack(stack.copy(), [poor])) == []  # the same values elsewhere
    other = tmp_path / "poor.safetensors"  # other weights under the same name
    save(other, stirred_network, ModelInfo("poor", stirred_network.settings), half=True)
    assert len(list(check_stack(stack, [str(other)]))) == 7
    changed = stack.copy()
    changed[4, 20, 20] ^= 1
    assert len(list(check_stack(changed, [poor]))) == len(first)
    for path in own_cache.iterdir():
        path.write_text(path.read_text()[:-20])
    assert len(list(check_stack(stack, [poor]))) == len(first)


def test_a_folder_that_cannot_be_written_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "file"))
    assert run_to_end(check_stack(smooth_stack(), [])).best() == "mean"


def test_stopping_leaves_nothing_half_done(own_cache: Path) -> None:
    work = check_stack(smooth_stack(), [])
    next(work)
    work.close()
    assert not own_cache.exists()


def test_slices_that_are_no_data_are_left_out() -> None:
    stack = smooth_stack(24)
    stack[5] = 0
    stack[12] = stack[11]
    chosen = Triplets(stack, 100, 32).slices
    assert set(chosen) == set(range(1, 23)) - {4, 5, 6, 11, 12}
    floats = stack.astype(np.float32)
    floats[20, 24, 24] = np.nan
    assert set(chosen) - set(Triplets(floats, 100, 32).slices) == {19, 20, 21}
    few = Triplets(stack, 4, 32).slices
    assert len(few) == 4
    assert max(few) - min(few) > 12


def test_computed_slices_are_left_out(tmp_path: Path) -> None:
    stack = smooth_stack(12)
    with create_volume(tmp_path / "a.h5", stack.shape, stack.dtype, synthetic=(3,)) as writer:
        for z, image in enumerate(stack):
            writer.write(z, image)
    assert set(Triplets(open_volume(tmp_path / "a.h5"), 100, 32).slices) == {1, *range(5, 11)}


@pytest.mark.parametrize(
    ("stack", "found"),
    [
        (smooth_stack(2), "No three neighbouring slices"),
        (np.zeros((9, 32, 32), np.uint8), "No three neighbouring slices"),
        (np.repeat(smooth_stack(3)[:1], 9, 0), "No three neighbouring slices"),
        (smooth_stack(9, 10), "10 x 10 px are too small"),
    ],
)
def test_stacks_that_cannot_be_checked(stack: NDArray[np.uint8], found: str) -> None:
    with pytest.raises(TsainError, match=found):
        run_to_end(check_stack(stack, []))
    chosen = run_to_end(choose_model(stack))
    assert (chosen.name, chosen.check) == ("tsain-lite", None)
    assert chosen.settings == InferenceSettings()


@pytest.mark.parametrize("convert", [lambda s: s.astype(np.uint16) * 200, lambda s: s / 255.0])
def test_other_dtypes_score_alike(
    convert: Callable[[NDArray[np.uint8]], NDArray[np.float64]], poor: str
) -> None:
    stack = smooth_stack()
    other = convert(stack)
    other = other.astype(np.float32) if other.dtype == np.float64 else other
    pair = [run_to_end(check_stack(s, [poor])).compare(poor, "mean") for s in (stack, other)]
    assert pair[0].difference == pytest.approx(pair[1].difference, abs=0.4)


def scores(*psnr: float) -> tuple[Scores, ...]:
    return tuple(Scores(value, value + 2, 0.5, 10, 1) for value in psnr)


def test_intervals_are_of_the_paired_differences() -> None:
    check = StackCheck(
        (1, 2, 3, 4), {"a": scores(20, 21, 25, 24), "mean": scores(19.2, 20, 24.5, 23)}
    )
    comparison = check.compare("a", "mean")
    expected = ttest_1samp([0.8, 1, 0.5, 1], 0).confidence_interval(0.95)
    assert (comparison.low, comparison.high) == pytest.approx(tuple(expected))
    assert comparison.outcome == "better"
    assert comparison.sentence() == (
        "On this stack a is 0.8 dB better than the mean of neighbours "
        "(interval 0.4 to 1.2 dB, 4 triplets)."
    )


def test_ties_are_said_as_ties() -> None:
    check = StackCheck((1, 2, 3), {"a": scores(20, 22, 21), "optical-flow": scores(21, 20, 21)})
    assert check.compare("a", "optical-flow").sentence() == (
        "On this stack a and optical flow are equally good (interval -3.5 to +4.1 dB, 3 triplets)."
    )
    same = StackCheck((1,), {"mean": scores(float("inf")), "mean-blur1": scores(float("inf"))})
    assert same.compare("mean", "mean-blur1").outcome == "even"


def test_one_triplet_has_no_interval() -> None:
    check = StackCheck((1,), {"mean": scores(20), "b": scores(23)})
    assert check.verdict("mean").sentence() == (
        "On this stack the mean of neighbours is 3.0 dB worse than b "
        "(from a single triplet). Use the model b."
    )


def write(path: Path, stack: NDArray[np.uint8]) -> Path:
    with create_volume(path, stack.shape, stack.dtype) as writer:
        for z, image in enumerate(stack):
            writer.write(z, image)
    return path


def test_auto_takes_the_best_on_every_way(tmp_path: Path) -> None:
    stack = even_stack()
    path = write(tmp_path / "in.h5", stack)
    for out in ("a.tif", "a.zarr"):
        assert main(["interpolate", str(path), str(tmp_path / out)]) == 0
        assert open_volume(tmp_path / out).provenance["model"] == "mean"
    finer = tsain.interpolate(stack)
    np.testing.assert_array_equal(finer, tsain.interpolate(stack, model="mean"))
    plan = make_plan(InterpolationRequest(str(path), str(tmp_path / "b.zarr")))
    assert plan.model_id["model"] == "mean"
    assert main(["interpolate", str(path), str(tmp_path / "c.tif"), "--no-check"]) == 0
    assert open_volume(tmp_path / "c.tif").provenance["model"] == "tsain-lite"


def test_a_long_run_is_checked_first(
    tmp_path: Path, poor: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "in.h5", smooth_stack())
    caplog.set_level("INFO")
    assert main(["interpolate", str(path), str(tmp_path / "a.tif"), "--model", poor]) == 0
    assert "worse than" not in caplog.text
    monkeypatch.setattr("tsain_core.cli._check._LONG", 0)
    out = str(tmp_path / "b.tif")
    assert main(["interpolate", str(path), out, "--model", poor, "--no-check"]) == 0
    assert "worse than" not in caplog.text
    assert main(["interpolate", str(path), str(tmp_path / "c.tif"), "--model", poor]) == 0
    assert "dB worse than the mean of neighbours" in caplog.text


def test_info_says_how_good_the_model_is(
    tmp_path: Path, poor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "in.h5", even_stack())
    assert main(["info", str(path), "--model", poor]) == 0
    text = capsys.readouterr().out
    assert "worse than the mean of neighbours" in text
    assert "structure" in text
    assert main(["info", str(path), "--model", poor, "--no-check"]) == 0
    assert "worse than" not in capsys.readouterr().out
    assert main(["info", str(path)]) == 0
    assert "best model    the mean of neighbours" in capsys.readouterr().out
    thin = write(tmp_path / "thin.h5", smooth_stack(2))
    assert main(["info", str(thin), "--model", "mean"]) == 0
    assert "check         none: No three neighbouring slices" in capsys.readouterr().out


@pytest.mark.em_data
def test_a_clean_stack_is_left_to_the_mean(em_data: Path) -> None:
    """tsain-lite takes for noise what goes on there; mixed with the mean it does not."""
    stack = np.asarray(open_volume(em_data / "validate" / "cebraem.tif").data)
    check = run_to_end(check_stack(stack, ["tsain-lite"], triplets=5))
    assert check.best() == "mean"
    assert check.compare("mean", "optical-flow").difference > 1
    assert check.compare("tsain-lite", "mean").difference < -0.5
    assert check.compare("tsain-lite + mean", "mean").difference > -0.1
    shares = check.mixed["tsain-lite"].shares
    assert shares is not None
    assert shares.mean[0] > 0.8
