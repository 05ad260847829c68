"""The training loop: it learns, resumes exactly, and recovers from what goes wrong."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from support.small_training import SETTINGS, SMALL, trainer, weights
from tsain_core.errors import TsainError
from tsain_core.inference.intensity import IntensityRange
from tsain_core.network import TSAIN, AdaptiveSampling, Sampling, SamplingPoints
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.training import (
    Augmentation,
    LossSettings,
    Trainer,
    TrainingSettings,
    TripletSampler,
    TripletSource,
)
from tsain_core.training.logs import open_logs
from tsain_core.training.offset_monitor import reach_penalty


def test_resuming_changes_nothing(tmp_path: Path) -> None:
    """Losses, validation and weights are those of an uninterrupted run."""
    whole = trainer()
    reports = list(whole.run())
    first = trainer(replace(SETTINGS, steps=6))
    run = first.run()
    early = [next(run) for _ in range(3)]
    first.save_state(tmp_path / "state.pt")
    second = trainer(seed=9)
    second.load_state(tmp_path / "state.pt")
    late = list(second.run())
    assert [r.loss for r in (*early, *late)] == [r.loss for r in reports]
    assert [r.validation for r in (*early, *late)] == [r.validation for r in reports]
    assert [r.step for r in late] == [4, 5, 6]
    assert torch.equal(weights(whole.network), weights(second.network))
    assert torch.equal(weights(whole.averaged), weights(second.averaged))


def test_states_of_other_runs_are_refused(tmp_path: Path) -> None:
    trainer().save_state(tmp_path / "state.pt")
    with pytest.raises(TsainError, match="another run"):
        trainer(replace(SETTINGS, seed=1)).load_state(tmp_path / "state.pt")
    other = trainer()
    other.network = TSAIN(replace(SMALL, drbs=2))
    with pytest.raises(TsainError, match="another network"):
        other.load_state(tmp_path / "state.pt")


@pytest.mark.parametrize("content", [None, b"", b"text\n", b"whole"])
def test_files_that_are_no_state(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "state.pt"
    t = trainer()
    if content == b"whole":
        t.save_state(path)
        content = path.read_bytes()[:-500]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TsainError, match="cannot be read") as caught:
        t.load_state(path)
    assert "\n" not in str(caught.value)
    torch.save([1, 2], path)
    with pytest.raises(TsainError, match="another run"):
        t.load_state(path)


def test_a_state_is_replaced_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.pt"
    t = trainer()
    t.save_state(path)
    before = path.read_bytes()

    def fail(state: dict, partial: Path) -> None:
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space"):
        t.save_state(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def test_validation_is_the_psnr_of_the_averaged_network() -> None:
    t = trainer()
    list(t.run())
    with torch.no_grad():
        squared = []
        for triplet in t.held_out:
            before, truth, after = (torch.from_numpy(i)[None, None] for i in triplet)
            squared.append((t.averaged(before, after).clamp(0, 1) - truth).square().numpy())
    want = -10 * np.log10(np.mean(squared))
    assert t.validate() == pytest.approx(want, abs=1e-4)


def test_one_batch_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The squared error falls to a small part of that of the mean, which it starts from."""
    stack = em_phantom((3, 32, 32), seed=1, noise=2.0)
    still = Augmentation(0, 0, 0, 0)
    source = TripletSource(stack, IntensityRange(0, 255), augmentation=still)
    sampler = TripletSampler([source], 32, 1)
    batch = sampler.batch_at(0)
    monkeypatch.setattr(TripletSampler, "batch_at", lambda self, step: batch)
    settings = TrainingSettings(
        steps=120,
        batch=1,
        crop=32,
        lr=4e-3,
        warmup=5,
        clip=10,
        check_every=50,
        loss=LossSettings(mse=1, charbonnier=0, ssim=0),
    )
    torch.manual_seed(0)
    losses = [r.loss for r in Trainer(TSAIN(SMALL), sampler, settings).run()]
    before, truth, after = batch[:3]
    mean = float(((before + after) / 2 - truth).square().mean())
    assert losses[0] == pytest.approx(mean, rel=0.2)
    assert np.mean(losses[-10:]) < 0.15 * mean  # 0.02 to 0.05 with other seeds


def test_schedule_of_the_learning_rate() -> None:
    s = TrainingSettings(steps=100, warmup=10, decay=0.5)
    factors = [s.lr_factor(i) for i in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10:51] == [1.0] * 41
    assert factors[75] == pytest.approx(0.5, abs=0.02)
    assert factors[99] < 0.01
    longer = replace(s, steps=200)
    assert [longer.lr_factor(i) for i in range(51)] == factors[:51]


def test_averaged_weights_follow() -> None:
    t = trainer(replace(SETTINGS, ema=0.5, steps=4))
    start = weights(t.averaged)
    list(t.run())
    assert not torch.equal(weights(t.averaged), start)
    assert not torch.equal(weights(t.averaged), weights(t.network))
    assert not any(p.requires_grad for p in t.averaged.parameters())


def test_offset_convolutions_have_their_own_rate() -> None:
    t = trainer(replace(SETTINGS, offset_lr=0.0))
    offsets = [m.offset_conv for m in t.network.modules() if isinstance(m, AdaptiveSampling)]
    list(t.run())
    assert offsets
    assert not any(m.weight.any() for m in offsets)


def test_a_step_that_is_not_finite_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    t = trainer()
    good = t.sampler.batch_at

    def spoilt(self: TripletSampler, step: int):  # type: ignore[no-untyped-def]
        before, truth, after, at = good(step)
        return before, truth * (torch.nan if step == 2 else 1), after, at

    monkeypatch.setattr(TripletSampler, "batch_at", spoilt)
    kept = []
    notes = []
    for report in t.run():
        kept.append(weights(t.network).clone())
        notes.append(report.note)
    assert torch.equal(kept[2], kept[1])
    assert not torch.equal(kept[3], kept[2])
    assert "loss not finite, step skipped" in notes[2]
    assert not any(notes[:2] + notes[3:])
    assert torch.isfinite(kept[-1]).all()


def explode(t: Trainer) -> None:
    for module in t.network.modules():
        if isinstance(module, AdaptiveSampling):
            torch.nn.init.constant_(module.offset_conv.bias, 500.0)  # type: ignore[arg-type]
            return


def set_offsets(t: Trainer, value: float) -> None:
    """About the same offset at all points, in pixels of their feature maps."""
    for module in t.network.modules():
        if isinstance(module, AdaptiveSampling):
            torch.nn.init.constant_(module.offset_conv.bias, value)  # type: ignore[arg-type]


def test_exploding_offsets_send_it_back() -> None:
    t = trainer()
    run = t.run()
    for _ in range(3):
        next(run)
    explode(t)
    report = next(run)
    assert "exploded" in report.note
    assert "back to the weights of step" in report.note
    rest = list(run)
    assert not any(r.note for r in rest)
    assert all(r.offsets is not None and r.offsets.mean < 25 for r in rest)
    assert t.recoveries == 1


def test_it_goes_back_to_weights_that_were_checked() -> None:
    """Not to those that a step left behind whose offsets nobody has seen yet."""
    t = trainer(replace(SETTINGS, steps=10, check_every=2))
    run = t.run()
    next(run)
    next(run)
    checked = weights(t.network).clone()
    step = t.optimizer.step

    def harmful(*args: object) -> None:
        step()
        explode(t)
        t.optimizer.step = step  # type: ignore[method-assign]

    t.optimizer.step = harmful  # type: ignore[method-assign, assignment]
    next(run)  # its offsets are those from before
    next(run)
    report = next(run)
    assert "back to the weights of step 2" in report.note
    assert torch.equal(weights(t.network), checked)
    assert not any(r.note for r in run)


def test_large_offsets_are_reported() -> None:
    t = trainer()
    run = t.run()
    next(run)
    set_offsets(t, 40.0)
    assert "have a mean of 40" in next(run).note


def test_rows_of_the_log_have_the_latest_offsets(tmp_path: Path) -> None:
    """Checks fall on other steps than rows."""
    t = trainer(replace(SETTINGS, check_every=2, validate_every=5))
    set_offsets(t, 3.0)
    with open_logs(tmp_path, every=3) as logs:
        reports = list(t.run())
        for report in reports:
            logs.add(report)
    checked = {r.step: r.offsets.mean for r in reports if r.offsets is not None}
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [3, 5, 6]
    for row in rows:
        latest = max(step for step in checked if step <= int(row["step"]))
        assert float(row["largest_mean_offset"]) == pytest.approx(checked[latest])
        assert float(row["largest_mean_offset"]) == pytest.approx(3.0, abs=0.1)


def test_a_penalty_draws_far_offsets_back() -> None:
    def change(penalty: float) -> float:
        t = trainer(replace(SETTINGS, steps=30, offset_penalty=penalty))
        set_offsets(t, 20.0)
        offsets = [r.offsets.mean for r in t.run() if r.offsets is not None]
        return offsets[-1] - offsets[0]

    assert change(1.0) < min(0.0, change(0.0)) - 0.02


def test_the_penalty_counts_what_goes_beyond_in_pixels_of_the_image() -> None:
    offset = torch.zeros(1, 1, 9, 2, 4, 4)
    offset[..., 0, :, :] = -10.0
    points = SamplingPoints(offset, torch.ones(1, 1, 9, 4, 4), stride=2)
    sampling = Sampling(rsab=[points, SamplingPoints(offset / 2, points.mask, stride=2)])
    # 20 pixels along y, none along x: 4 more than are free, for half of the numbers
    assert float(reach_penalty(sampling, 16.0)) == pytest.approx(2.0)


def test_it_gives_up_when_nothing_helps() -> None:
    t = trainer(replace(SETTINGS, steps=20))
    with pytest.raises(TsainError, match="lower learning rate"):
        for _ in t.run():
            explode(t)


@pytest.mark.parametrize("bf16", [False, True])
def test_checkpointing_changes_memory_alone(bf16: bool) -> None:
    """The same losses and weights, from a fraction of the kept activations."""
    settings = replace(SETTINGS, bf16=bf16)
    plain, saving = trainer(settings), trainer(replace(settings, checkpointing=True))
    kept = []
    for one in (plain, saving):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: (sizes.append(t.nbytes), t)[1],  # type: ignore[misc]
            lambda t: t,
        ):
            before, _, after, _ = one.sampler.batch_at(0)
            one.network(before, after)
        kept.append(sum(sizes))
    assert kept[1] < 0.5 * kept[0]
    for a, b in zip(plain.run(), saving.run(), strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-5)
        assert a.offsets == b.offsets or a.offsets.mean == pytest.approx(b.offsets.mean, rel=1e-3)  # type: ignore[union-attr]
    torch.testing.assert_close(
        weights(saving.network), weights(plain.network), rtol=1e-3, atol=1e-5
    )
