"""An adversary that makes slices sharp."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tsain_core.errors import TsainError
from tsain_core.inference.intensity import IntensityRange
from tsain_core.network import TSAIN, NetworkSettings
from tsain_core.training import Trainer, TrainingSettings, TripletSampler, TripletSource
from tsain_core.training.adversarial import Adversary, AdversarySettings, PatchCritic, fine_alone
from tsain_core.training.distributed import Ranks
from tsain_core.training.losses import total_loss

SMALL = NetworkSettings(
    channels=8, image_channels=1, feature_blocks=1, reconstruction_blocks=1,
    rsabs=1, drbs=1, groups=2, unshuffle=2, residual=True,
)  # fmt: skip
SETTINGS = TrainingSettings(
    steps=6, batch=2, crop=16, lr=1e-3, warmup=0, ema=0.0,
    adversary=AdversarySettings(share=0.5, alone=2, channels=4),
)  # fmt: skip
ARRAY = np.random.default_rng(0).integers(0, 255, (8, 32, 32), np.uint8)


def trainer(settings: TrainingSettings = SETTINGS, **more: object) -> Trainer:
    torch.manual_seed(0)
    sampler = TripletSampler([TripletSource(ARRAY, IntensityRange(0, 255))], 16, 2)
    return Trainer(TSAIN(SMALL), sampler, settings, **more)  # type: ignore[arg-type]


def images(count: int, seed: int = 0, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(seed))


def test_it_learns_to_tell_blurred_slices_from_real_ones() -> None:
    torch.manual_seed(0)
    adversary = Adversary(AdversarySettings(share=1, lr=2e-3, channels=4), torch.device("cpu"))
    for step in range(80):
        before, truth, after = (images(4, 3 * step + i, 16) for i in range(3))
        blurred = torch.nn.functional.avg_pool2d(truth, 3, 1, 1)
        loss = adversary.learn(before, blurred, truth, after)
    assert loss < 1  # 2 where it knows nothing
    before, truth, after = (images(4, i, 16) for i in (1001, 1002, 1003))
    blurred = torch.nn.functional.avg_pool2d(truth, 3, 1, 1)
    verdict = [adversary.critic(before, s, after)[-1].mean() for s in (truth, blurred)]
    assert verdict[0] > verdict[1] + 1


def test_verdict_does_not_depend_on_brightness_and_contrast_of_the_stack() -> None:
    critic = PatchCritic(4).eval()
    slices = [images(1, i) for i in range(3)]
    first = critic(*slices)[-1]
    torch.testing.assert_close(critic(*(s + 0.3 for s in slices))[-1], first)
    other = critic(*(s * 2 for s in slices))[-1]
    torch.testing.assert_close(other, first, rtol=0.2, atol=0.05)


def test_its_gradient_has_the_share_of_the_others_in_each_image() -> None:
    adversary = Adversary(
        AdversarySettings(share=0.4, alone=0, matching=0, channels=4), torch.device("cpu")
    )
    before, truth, after = (images(3, i) for i in range(3))
    prediction = images(3, 9).requires_grad_()
    others = (prediction - truth).square().mean() * torch.tensor(7.0)
    plain = torch.autograd.grad(others, prediction, retain_graph=True)[0]
    both = torch.autograd.grad(
        adversary.add_to(others, 0, before, prediction, truth, after), prediction
    )[0]
    added = (both - plain).flatten(1).norm(dim=1)
    torch.testing.assert_close(added, 0.4 * plain.flatten(1).norm(dim=1), rtol=1e-3, atol=0)


def test_it_moves_fine_detail_alone() -> None:
    x = images(1, 9, 64).requires_grad_()
    torch.testing.assert_close(fine_alone(x), x)
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    checkerboard = (torch.arange(64) + torch.arange(64)[:, None]) % 2 * 2.0 - 1
    inside = (..., slice(16, -16), slice(16, -16))  # where the border is not mirrored
    for weights, share in ((ramp, 0.0), (checkerboard.expand_as(ramp), 1.0)):
        gradient = torch.autograd.grad((fine_alone(x) * weights).sum(), x)[0]
        torch.testing.assert_close(gradient[inside], share * weights[inside], atol=1e-3, rtol=0)


def test_alone_it_learns_but_does_not_count() -> None:
    run = trainer()
    before, truth, after, at = run.sampler.batch_at(0)
    with torch.no_grad():
        plain = total_loss(run.network(before, after), truth, SETTINGS.loss)
    assert run.objective.adversary is not None
    critic = [p.clone() for p in run.objective.adversary.critic.parameters()]
    assert next(run.run()).loss == pytest.approx(float(plain), rel=1e-5)
    pairs = zip(critic, run.objective.adversary.critic.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_a_run_that_goes_on_is_the_run_in_one(tmp_path: Path) -> None:
    whole = [r.loss for r in trainer().run()]
    first = trainer(replace(SETTINGS, steps=3))
    losses = [r.loss for r in first.run()]
    first.save_state(tmp_path / "state.pt")
    second = trainer()
    second.load_state(tmp_path / "state.pt")
    losses += [r.loss for r in second.run()]
    # decay depends on the number of steps, so that only the steps before it are the same
    assert losses[:4] == pytest.approx(whole[:4], rel=1e-6)


def test_a_state_without_an_adversary_is_another_run(tmp_path: Path) -> None:
    plain = trainer(replace(SETTINGS, adversary=AdversarySettings()))
    assert plain.objective.adversary is None
    plain.save_state(tmp_path / "state.pt")
    with pytest.raises(TsainError, match="another network"):
        trainer().load_state(tmp_path / "state.pt")


def test_it_trains_in_one_process_and_refuses_odd_settings() -> None:
    with pytest.raises(TsainError, match="one process"):
        trainer(ranks=Ranks(0, 2))
    for wrong in ({"share": -1.0}, {"lr": 0.0}, {"channels": 0}):
        with pytest.raises(ValueError, match="share"):
            AdversarySettings(**wrong)  # type: ignore[arg-type]
