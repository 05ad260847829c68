"""Mixing a model with the mean of neighbours, in shares that are found on left-out slices."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import tsain_core as tsain
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.evaluation.metrics import Scores
from tsain_core.inference.mixing import MOST, MixShares, mix_with_mean
from tsain_core.inference.models import BASELINES, InferenceSettings, open_model, run_to_end
from tsain_core.interpolation.interpolate import slice_between
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN
from tsain_core.stack_check import (
    StackCheck,
    auto_candidates,
    check_stack,
    choose_model,
    mix_model,
)
from tsain_core.stack_check.fit_shares import (
    Mixed,
    TripletFit,
    fit_shares,
    shares_without,
    triplet_fit,
)
from tsain_core.volumes import create_volume, open_volume

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))


def clean_stack(depth: int = 9, side: int = 48) -> NDArray[np.uint8]:
    """Structure that changes evenly along z, fine grain in it that goes on from slice to slice."""
    noise = np.random.default_rng(1).normal(size=(depth, side, side))
    smooth = gaussian_filter(noise, (3, 0.7, 0.7), mode="wrap")
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def images(count: int = 1) -> list[NDArray[np.float32]]:
    return list(RNG.normal(128, 30, (count, 40, 40)).astype(np.float32))


@pytest.mark.parametrize("fraction", [Fraction(1, 2), Fraction(1, 5)])
def test_what_is_finer_becomes_that_of_the_mean(fraction: Fraction) -> None:
    image, before, after = images(3)
    mean = (1 - float(fraction)) * before + float(fraction) * after
    np.testing.assert_array_equal(mix_with_mean(image, before, after, fraction, MixShares()), image)
    for shares, sigma in (((1, 0, 0), 1), ((1, 1, 0), 2), ((1, 1, 1), 4)):
        mixed = mix_with_mean(image, before, after, fraction, MixShares(shares))
        coarse, theirs = (gaussian_filter(i, sigma, radius=4 * sigma) for i in (image, mean))
        np.testing.assert_allclose(mixed, mean - theirs + coarse, atol=0.01)


def test_the_slices_own_detail_is_raised() -> None:
    image, before, after = images(3)
    raised = mix_with_mean(image, before, after, Fraction(1, 3), MixShares(own=(0.5, 0.2)))
    fine, middle = (gaussian_filter(image, sigma, radius=4 * sigma) for sigma in (1, 2))
    expected = image + 0.5 * (image - fine) + 0.2 * (fine - middle)
    np.testing.assert_allclose(raised, expected, atol=0.01)


def mixed(*mean: float, z: int, own: tuple[float, float] = (0, 0), noise: float = 0) -> TripletFit:
    """Moments of a triplet whose real slice is a mix, known but for noise."""
    image, other = images(2)
    shares = MixShares((*mean, 0.0, 0.0)[:3], own)  # type: ignore[arg-type]
    truth = mix_with_mean(image, other, other, Fraction(1, 2), shares)
    truth = truth + noise * RNG.normal(size=truth.shape).astype(np.float32)
    return triplet_fit(z, image, other, truth)


def test_known_shares_are_found() -> None:
    mean, own = (0.8, -0.3, 0.4), (0.3, 0.2)
    found = fit_shares([mixed(*mean, z=z, own=own, noise=10.0) for z in range(1, 11)])
    assert found is not None
    assert found.mean == pytest.approx(mean, abs=0.06)
    assert found.own == pytest.approx(own, abs=0.06)


def test_own_detail_is_never_taken_away() -> None:
    """A real slice with half of the detail, as noise of its own makes it seem, changes nothing."""
    found = fit_shares([mixed(z=z, own=(-0.5, -0.5)) for z in range(1, 11)])
    assert found is None or found.own == (0, 0)


def test_where_no_share_helps_none_is_given() -> None:
    """By chance some of ten lists of noise have a use for a small one."""
    fits = [[mixed(z=z, noise=30.0) for z in range(1, 9)] for _ in range(10)]
    found = [fit_shares(triplets) for triplets in fits]
    assert sum(shares is None for shares in found) >= 8
    assert all(max(map(abs, (*s.mean, *s.own))) < 0.1 for s in found if s)


def test_too_few_triplets_and_wild_ones() -> None:
    one = mixed(1, 1, z=3)
    assert fit_shares([]) is None
    assert fit_shares([one]) is None
    wild = fit_shares([mixed(9, z=z) for z in range(4)])
    assert wild is not None
    assert wild.mean[0] == MOST


def test_a_slice_is_not_judged_by_triplets_that_hold_it() -> None:
    """Slices 4 to 6 say nothing that fits the others."""
    fits = [mixed(*((0.5, 0.5) if 4 <= z <= 6 else (1, 0)), z=z) for z in range(1, 9)]
    others, every = shares_without(fits, 5), fit_shares(fits)
    assert others is not None and others.mean == pytest.approx((1, 0, 0), abs=0.01)
    assert every is not None and every.mean != pytest.approx((1, 0, 0), abs=0.1)


def test_a_poor_network_gains(stirred: str) -> None:
    stack = clean_stack()
    check = run_to_end(check_stack(stack, [stirred]))
    plain = check.compare(stirred, "mean")
    assert plain.outcome == "worse"
    mix = check.compare(f"{stirred} + mean", "mean")
    assert mix.difference > plain.difference + 1
    gain = f"{mix.difference - plain.difference:.1f} dB"
    assert check.sentence(stirred).endswith(
        f"Mixed with the mean of neighbours, {stirred} gains {gain}."
    )
    assert f"{stirred} + mean" in check.table(stirred)
    kept = run_to_end(check_stack(stack, [stirred]))
    assert kept.mixed == check.mixed
    chosen = run_to_end(mix_model(stack, stirred))
    shares = chosen.settings.mix_shares
    assert shares == check.mixed[stirred].shares
    assert shares is not None
    assert max(shares.mean) > 0.5


def test_what_is_found_is_what_is_computed(stirred: str) -> None:
    """The slice of a run is the model's, mixed with the mean; detail comes after that."""
    before, after = (image / np.float32(255) for image in images(2))
    shares = MixShares((0.9, -0.2, 0.1), (0.0, 0.3))
    settings = InferenceSettings("cpu", "fp32")
    work = [settings, settings.mixed(shares)]
    plain, mix = (run_to_end(slice_between(open_model(stirred, s), before, after))[0] for s in work)
    np.testing.assert_allclose(
        mix, mix_with_mean(plain, before, after, Fraction(1, 2), shares), atol=1e-6
    )
    written = open_model(stirred, work[1]).provenance()
    assert (written["mean_shares"], written["own_shares"]) == ([0.9, -0.2, 0.1], [0.0, 0.3])
    assert not {"mean_shares", "own_shares"} & {*open_model(stirred, settings).provenance()}


def test_shares_that_are_left_out_are_0() -> None:
    """As settings of earlier versions have them, of two bands."""
    two = InferenceSettings.from_json({"mean_shares": [0.9, -0.2]})
    assert two.mix_shares == MixShares((0.9, -0.2, 0.0))
    assert InferenceSettings(own_shares=(0.1, 0.0)).mix_shares == MixShares(own=(0.1, 0.0))
    assert InferenceSettings(brightness_slices=3).mix_shares is None
    assert InferenceSettings().mixed_as(two).mix_shares == two.mix_shares


def test_own_detail_is_not_raised_before_real_detail_comes(stirred: str) -> None:
    """Both would fill the same gap."""
    before, after = (image / np.float32(255) for image in images(2))
    settings = InferenceSettings("cpu", "fp32", mean_shares=(0.5, 0.0, 0.0), detail=0.8)
    raised = replace(settings, own_shares=(0.4, 0.4))
    one, other = (
        run_to_end(slice_between(open_model(stirred, s), before, after))[0]
        for s in (settings, raised)
    )
    np.testing.assert_array_equal(one, other)


def test_aligned_pairs_are_checked_by_themselves(stirred: str) -> None:
    stack = clean_stack()
    assert len(list(check_stack(stack, [stirred]))) == 7 * (1 + len(BASELINES))
    aligned = InferenceSettings(align=True)
    assert len(list(check_stack(stack, [stirred], aligned))) == 7 * (1 + len(BASELINES))


def test_stacks_and_models_that_cannot_be_mixed(stirred: str) -> None:
    with pytest.raises(TsainError, match="The mean of neighbours cannot be mixed"):
        run_to_end(mix_model(clean_stack(), "mean"))
    with pytest.raises(TsainError, match="has 3 triplets .* 4 are required"):
        run_to_end(mix_model(clean_stack(5), stirred))
    for shares in ((0.0, 2.0), (0.0, 0.0, 0.0, 0.0)):
        with pytest.raises(TsainError, match="expected up to 3 from -1 to 1.5"):
            InferenceSettings(mean_shares=shares)
    with pytest.raises(TsainError, match="expected two shares from 0 to 1.5"):
        InferenceSettings(own_shares=(-0.5, 0.0))


def scores(*psnr: float) -> tuple[Scores, ...]:
    return tuple(Scores(value, value + 2, 0.5, 10, 1) for value in psnr)


def test_the_best_may_be_a_mix() -> None:
    shares = MixShares((0.5, 0.0, 0.0))
    known = {"a": scores(20, 21, 22), "mean": scores(20.5, 21.5, 22.5), "b": scores(19, 20, 21)}
    fit = {"a": Mixed(None, 1, scores(23, 24, 25)), "b": Mixed(shares, 1, scores(21, 22, 23))}
    check = StackCheck((1, 2, 3), known, fit)
    assert check.best() == "mean"
    assert check.best_mixed() == ("b", fit["b"])  # a is best as it is, whatever its scores
    assert check.verdict("b + mean").other == "mean"
    assert StackCheck((1, 2, 3), known).best_mixed() == ("mean", None)
    little = {"b": Mixed(shares, 1, scores(20.51, 21.51, 22.51))}
    assert StackCheck((1, 2, 3), known, little).best_mixed() == ("mean", None)


def test_a_slower_network_must_be_clearly_better() -> None:
    """Names come in the order of speed; baselines are the fastest, wherever they stand."""
    known = {"fast": scores(20, 21), "slow": scores(20.01, 21.01), "mean": scores(19, 20)}
    assert StackCheck((1, 2), known).best_mixed() == ("fast", None)
    known["slow"] = scores(20.1, 21.1)
    assert StackCheck((1, 2), known).best_mixed() == ("slow", None)
    fit = {"fast": Mixed(None, 4, scores(20.09, 21.09)), "slow": Mixed(None, 1, scores(25, 25))}
    assert StackCheck((1, 2), known, fit).best_mixed() == ("fast", fit["fast"])


def test_auto_takes_the_larger_network_where_time_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stirred_network: TSAIN
) -> None:
    small = stirred_network.settings
    files = {}
    for name, settings in (
        ("a-large", replace(small, channels=48)),
        ("fast", replace(small, channels=32)),
        ("full", replace(small, channels=64, unshuffle=1)),
    ):
        files[name] = tmp_path / f"{name}.safetensors"
        save(files[name], TSAIN(settings), ModelInfo(name, settings))
    monkeypatch.setattr("tsain_core.stack_check.check.shipped_models", lambda: files)
    assert auto_candidates("cpu", 400 * 512 * 512) == ["fast", "a-large", *BASELINES]
    assert auto_candidates("cpu", 1000 * 512 * 512) == ["fast", *BASELINES]


def test_auto_mixes_on_every_way(
    tmp_path: Path, stirred: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command, to TIFF and OME-Zarr, and Python choose the same shares."""
    monkeypatch.setattr("tsain_core.stack_check.check.auto_candidates", lambda *_: [stirred])
    monkeypatch.setattr(StackCheck, "best_mixed", lambda c: (stirred, c.mixed[stirred]))
    stack, path = clean_stack(), tmp_path / "in.h5"
    with create_volume(path, stack.shape, stack.dtype) as writer:
        for z, image in enumerate(stack):
            writer.write(z, image)
    chosen = run_to_end(choose_model(stack)).settings
    assert chosen.mix_shares is not None
    expected = tsain.interpolate(stack)
    settings = tsain.find_mix(path, stirred)
    assert settings.mix_shares == chosen.mix_shares
    np.testing.assert_array_equal(
        tsain.interpolate(stack, model=stirred, settings=settings), expected
    )
    mean, own = chosen.mix_shares.mean, chosen.mix_shares.own
    words = ["--mean-shares", *map(str, mean), "--own-shares", *map(str, own)]
    for name, options in (
        ("a.tif", ["--model", "auto"]),
        ("b.zarr", ["--model", stirred, "--mix"]),
        ("c.tif", ["--model", stirred, *words]),
    ):
        out = tmp_path / name
        assert main(["interpolate", str(path), str(out), *options]) == 0
        result = open_volume(out)
        assert result.provenance["mean_shares"] == list(mean)
        np.testing.assert_array_equal(np.asarray(result.data), expected)
    assert main(["interpolate", str(path), str(tmp_path / "e.tif"), "--mix", "--model",
                 stirred, "--mean-shares", "0", "1"]) == 1  # fmt: skip
