"""Fine-tuning: blocks that share nothing, a verdict that is honest, the command."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import torch

from tsain_core.checkpoint import ModelInfo, load, save
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.intensity import estimate_range
from tsain_core.metrics import Scores
from tsain_core.network import TSAIN
from tsain_core.phantom import em_phantom
from tsain_core.training import Progress, finetune
from tsain_core.training.finetune import Begun, FinetuneSettings, Verdict, split_blocks
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
    assert isinstance(begun, Begun)
    assert all(isinstance(step, Progress | finetune.Preview) for step in steps)
    assert isinstance(verdict, Verdict)
    assert set(verdict.scores) == {"before", "after", "mean", "optical-flow"}
    assert verdict.improved
    assert verdict.scores["after"].psnr > verdict.scores["before"].psnr + 0.5
    assert verdict.sentence().startswith("Better")
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
    assert isinstance(begun, Begun)
    judged = set(range(*begun.blocks.judge))
    assert seen == set(range(16)) - judged


def test_what_is_worse_is_not_kept(
    stack_file: Path, stirred_network: TSAIN, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "_is_better", lambda after, before: False)
    *_, verdict = run(open_volume(stack_file), stirred_network)
    assert isinstance(verdict, Verdict)
    assert not verdict.improved
    assert verdict.network is stirred_network
    assert "is kept" in verdict.sentence()


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
    assert main(["finetune", str(stack_file), "--output", str(tmp_path / "x.pt")]) == 1


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
            return tuple(torch.from_numpy(image)[None, None] for image in triplet)

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
