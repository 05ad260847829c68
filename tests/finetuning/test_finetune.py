"""Fine-tuning: blocks that share nothing, a verdict that is honest, the command."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import tifffile
import torch
from scipy.stats import ttest_rel

from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.evaluation.metrics import Scores
from tsain_core.finetuning import finetune
from tsain_core.finetuning.finetune import (
    FinetuneSettings,
    FineTuningStarted,
    Verdict,
    split_blocks,
)
from tsain_core.finetuning.model_card import check_outcome, check_writable
from tsain_core.finetuning.verdict import Gain
from tsain_core.inference.intensity import estimate_range
from tsain_core.model_files.checkpoint import ModelInfo, load, save
from tsain_core.network import TSAIN
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.training import TrainingProgress
from tsain_core.volumes import Volume, open_volume

QUICK = FinetuneSettings(minutes=0.1, batch=2, crop=64, lr=5e-4)


@pytest.fixture(scope="module")
def stack_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stack") / "stack.tif"
    tifffile.imwrite(path, em_phantom((16, 96, 96), seed=1))
    return path


@pytest.mark.parametrize("depth", [9, 10, 20, 21, 100])
def test_blocks_are_apart_and_whole(depth: int) -> None:
    blocks = split_blocks(depth, 0.15)
    ranges = [blocks.learn[0], blocks.stop, blocks.judge, *blocks.learn[1:]]
    assert ranges[0][0] == 0 and ranges[-1][1] == depth
    assert all(one[1] == other[0] for one, other in itertools.pairwise(ranges))
    assert all(last - first >= 3 for first, last in ranges)
    assert len(blocks.learn) == (2 if depth >= 20 else 1)


def test_volumes_that_are_too_thin_or_too_small(stirred_network: TSAIN, tmp_path: Path) -> None:
    with pytest.raises(TsainError, match="at least 9"):
        split_blocks(8, 0.15)
    tifffile.imwrite(tmp_path / "small.tif", np.zeros((12, 32, 200), np.uint8))
    work = finetune.finetune(
        open_volume(tmp_path / "small.tif"), stirred_network, info(stirred_network)
    )
    with pytest.raises(TsainError, match="32 x 200"):
        next(work)


def info(network: TSAIN) -> ModelInfo:
    return ModelInfo("small", network.settings, licence="CC BY")


def run(volume: Volume, network: TSAIN, settings: FinetuneSettings = QUICK) -> list[object]:
    return list(finetune.finetune(volume, network, info(network), settings))


def test_it_learns_and_says_how_much(stack_file: Path, stirred_network: TSAIN) -> None:
    before = copy.deepcopy(stirred_network.state_dict())
    begun, *steps, verdict = run(open_volume(stack_file), stirred_network)
    assert isinstance(begun, FineTuningStarted)
    assert all(isinstance(step, TrainingProgress | finetune.FineTuningPreview) for step in steps)
    assert isinstance(verdict, Verdict)
    assert set(verdict.scores) == {"before", "after", "mean", "optical-flow"}
    assert verdict.improved
    assert verdict.scores["after"].psnr > verdict.scores["before"].psnr + 0.5
    assert verdict.sentence().startswith("Better")
    gain = verdict.gains["psnr"]
    difference = verdict.scores["after"].psnr - verdict.scores["before"].psnr
    assert gain.mean == pytest.approx(difference) and gain.low > 0 and gain.slices == 3
    assert f"95 % interval {gain.low:+.2f} to {gain.high:+.2f}" in verdict.sentence()
    assert any((before[k] != v).any() for k, v in verdict.network.state_dict().items())
    assert all((before[k] == v).all() for k, v in stirred_network.state_dict().items())


def test_judging_slices_are_never_learnt_from(
    stack_file: Path, stirred_network: TSAIN, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices are painted with their number: learning and stopping see none of that block."""
    numbers = np.arange(16, dtype=np.uint8)[:, None, None] * 10
    noise = np.random.default_rng(0).integers(0, 6, (16, 96, 96), np.uint8)
    volume = replace(open_volume(stack_file), data=da.from_array(numbers + noise))
    grey = estimate_range(volume)
    seen: set[int] = set()
    whole = finetune.Trainer

    def see(images: np.ndarray) -> None:
        seen.update(int(image.mean()) // 10 for image in images)

    class Watched(whole):  # type: ignore[misc, valid-type]
        def __init__(self, network, sampler, settings, held_out=(), device="cpu"):  # type: ignore[no-untyped-def]
            for source in sampler.sources:
                see(source.array)
            for triplet in held_out:
                see(triplet * (grey.hi - grey.lo) + grey.lo)
            super().__init__(network, sampler, settings, held_out, device)

    monkeypatch.setattr(finetune, "Trainer", Watched)
    work = finetune.finetune(volume, stirred_network, info(stirred_network), QUICK)
    begun, _ = next(work), next(work)
    assert isinstance(begun, FineTuningStarted)
    judged = set(range(*begun.blocks.judge))
    assert seen == set(range(16)) - judged


def test_what_is_worse_is_not_kept(
    stack_file: Path, stirred_network: TSAIN, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "_is_better", lambda after, before: False)
    few_steps = replace(QUICK, minutes=0.01)
    *_, verdict = run(open_volume(stack_file), stirred_network, few_steps)
    assert isinstance(verdict, Verdict)
    assert not verdict.improved
    assert verdict.network is stirred_network
    assert "is kept" in verdict.sentence()


def test_gain_is_students_interval() -> None:
    before, after = [20.0, 21.0, 19.5, 20.2], [20.3, 21.1, 19.9, 20.3]
    gain = Gain.of(before, after)
    wanted = ttest_rel(after, before).confidence_interval(0.95)
    assert (gain.low, gain.high) == pytest.approx((wanted.low, wanted.high))
    assert gain.slices == 4 and gain.mean == pytest.approx(0.225)
    assert not Gain.of([20.0], [25.0]).is_sure
    assert not Gain.of([], []).is_sure
    assert Gain.of([20.0, np.inf, 20.0], [20.5, np.inf, 20.6]).slices == 2
    assert not Gain.of([20.0, 21.0], [20.0, 21.0]).is_sure  # the same weights


def scores_of(*psnr: float, structure: float = 25.0) -> list[Scores]:
    return [Scores(value, structure, 0.5, 10.0, 0.5) for value in psnr]


def judged(network: TSAIN, before: list[Scores], after: list[Scores], **more: object) -> Verdict:
    """The verdict over slices that were scored like this."""
    baselines = {"mean": scores_of(10), "optical-flow": scores_of(10)}
    by_model = {"before": before, "after": after, **(baselines | more)}
    trainer = SimpleNamespace(
        best=SimpleNamespace(step=50), seconds=60.0, finished=more.pop("settled", False)
    )
    by_model.pop("settled", None)
    return finetune._judge(by_model, network, network, split_blocks(30, 0.15), trainer)  # type: ignore[arg-type]


def test_better_is_said_only_when_the_interval_excludes_zero(stirred_network: TSAIN) -> None:
    before = scores_of(20.0, 21.0, 19.5)
    # +0.05 dB on average over three slices
    verdict = judged(stirred_network, before, scores_of(20.2, 20.95, 19.5))
    assert verdict.gains["psnr"].mean == pytest.approx(0.05)
    assert not verdict.improved and verdict.sentence().startswith("No clear gain")
    assert "(+0.05, 95 % interval -0.28 to +0.38 over 3 slices)" in verdict.sentence()
    # the same mean, on every slice
    verdict = judged(stirred_network, before, scores_of(20.05, 21.05, 19.55))
    assert verdict.improved and verdict.sentence().startswith("Better")
    # sure of more PSNR, and of less structure
    verdict = judged(stirred_network, before, scores_of(20.5, 21.5, 20.0, structure=24.5))
    assert not verdict.improved and verdict.sentence().startswith("Not better")


def test_without_a_gain_it_says_what_to_do_next(stirred_network: TSAIN) -> None:
    before, after = scores_of(20.0, 21.0, 19.5), scores_of(20.0, 20.9, 19.6)
    assert "more minutes" in judged(stirred_network, before, after).sentence()
    settled = judged(stirred_network, before, after, settled=True).sentence()
    assert "More time would not help" in settled and "as it is" in settled
    mean = scores_of(22.0, structure=27.0)
    assert "with the model 'mean'" in judged(stirred_network, before, after, mean=mean).sentence()
    better = judged(stirred_network, before, scores_of(21.0, 22.0, 20.5))
    assert better.advice() == "" and "Next" not in better.sentence()


def test_the_curve_is_in_the_grey_levels_of_the_verdict(
    stack_file: Path, stirred_network: TSAIN
) -> None:
    """On a stack of few grey levels the two differed by 20 log10(255 / range) dB."""
    flat = (np.asarray(open_volume(stack_file).data) / 4 + 90).astype(np.uint8)
    volume = replace(open_volume(stack_file), data=da.from_array(flat))
    grey = estimate_range(volume)
    assert 20 * np.log10(255 / (grey.hi - grey.lo)) > 10
    work = finetune.finetune(volume, stirred_network, info(stirred_network), QUICK)
    begun, start = next(work), next(work)
    work.close()
    assert (
        isinstance(begun, FineTuningStarted)
        and isinstance(start, TrainingProgress)
        and start.step == 0
    )
    first, last = begun.blocks.stop
    scores = finetune._scores(
        volume,
        (first, last - 1),
        {"before": stirred_network},
        info(stirred_network),
        torch.device("cpu"),
    )
    assert start.validation == pytest.approx(np.mean([s.psnr for s in scores["before"]]), abs=0.5)


def test_blur_alone_does_not_win() -> None:
    start = Scores(16.0, 19.0, 0.2, 30.0, 0.3)
    assert finetune._is_better(replace(start, psnr=16.1), start)
    assert not finetune._is_better(replace(start, psnr=16.1, structure=18.9), start)
    assert not finetune._is_better(replace(start, psnr=15.9, structure=19.5), start)


def test_the_command_writes_model_card_and_picture(
    stack_file: Path,
    stirred_network: TSAIN,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(FinetuneSettings, "crop", 64)
    base, out = tmp_path / "small.safetensors", tmp_path / "mine.safetensors"
    save(base, stirred_network, info(stirred_network))
    words = ["finetune", stack_file, "--base", base, "--output", out, "--minutes", 0.1]
    assert main([str(word) for word in words]) == 0
    text = capsys.readouterr().out
    assert "Better" in text
    network, known = load(out)
    assert known.name == "mine"
    assert known.training["finetuned_on"] == "stack.tif"
    assert "CC BY" in known.licence
    assert any(
        (v != w).any()
        for v, w in zip(
            network.state_dict().values(), stirred_network.state_dict().values(), strict=True
        )
    )
    card = (tmp_path / "mine.md").read_text(encoding="utf-8")
    assert "Better" in card and "optical-flow" in card and "twice as far apart" in card
    assert (tmp_path / "mine.png").stat().st_size > 10_000
    # before any time is spent
    capsys.readouterr()
    wrong = {
        tmp_path / "x.pt": "end it in .safetensors",
        out: "mine.safetensors, mine.md, mine.png exists already",
        tmp_path / "no" / "x.safetensors": "There is no folder",
        Path("/proc/x.safetensors"): "Nothing can be written to /proc",
    }
    for path, message in wrong.items():
        assert main(["finetune", str(stack_file), "--output", str(path)]) == 1
        assert message in capsys.readouterr().err
    check_outcome(out, overwrite=True)


def test_a_missing_folder_takes_the_rights_of_its_parent(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []  # nothing is made by looking
    (tmp_path / "file").write_text("")
    with pytest.raises(TsainError, match="Nothing can be written"):
        check_writable(tmp_path / "file" / "b")


@pytest.mark.slow
def test_one_triplet_is_learnt_to_over_35_db() -> None:
    """The whole loop can bring a network to a given answer."""
    from tsain_core.network import NetworkSettings
    from tsain_core.training import TrainingSettings
    from tsain_core.training.loop import Trainer

    torch.manual_seed(0)
    triplet = em_phantom((3, 48, 48), seed=2).astype(np.float32) / 255

    class OneTriplet:
        seed, sources = 0, ()

        def batch_at(self, step: int) -> tuple[torch.Tensor, ...]:
            images = (torch.from_numpy(image)[None, None] for image in triplet)
            return (*images, torch.tensor([0.5]))

    settings = NetworkSettings(
        channels=32, image_channels=1, feature_blocks=1, reconstruction_blocks=2,
        rsabs=1, drbs=1, groups=4, unshuffle=2, residual=True,
    )  # fmt: skip
    training = TrainingSettings(
        steps=700, batch=1, crop=48, lr=2e-3, warmup=20, decay=0.5, ema=0.9, validate_every=50
    )
    trainer = Trainer(TSAIN(settings), OneTriplet(), training, [triplet])  # type: ignore[arg-type]
    start = trainer.validate()
    assert start < 30
    assert any(p.validation is not None and p.validation > 35 for p in trainer.run())
