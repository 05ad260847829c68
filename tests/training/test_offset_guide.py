"""Offsets held near optical flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsain_core.inference.intensity import IntensityRange
from tsain_core.network import TSAIN, NetworkSettings, Sampling, SamplingPoints
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.training import Trainer, TrainingSettings, TripletSampler, TripletSource
from tsain_core.training.offset_guide import OffsetGuide, fidelity_loss, guidance

SMALL = NetworkSettings(
    channels=8, image_channels=1, feature_blocks=1, reconstruction_blocks=1,
    rsabs=1, drbs=1, groups=2, unshuffle=2, residual=True,
)  # fmt: skip
MOTION = (3, -5)  # of each outer slice, to opposite sides


@pytest.fixture(scope="module")
def moved() -> tuple[torch.Tensor, torch.Tensor]:
    """A slice moved to both sides: (1, 1, 96, 96) each."""
    image = em_phantom((1, 128, 128))[0].astype(np.float32) / 255
    y, x = MOTION
    slices = [np.roll(image, sign * np.array((y, x)), (0, 1))[16:-16, 16:-16] for sign in (1, -1)]
    before, after = (torch.from_numpy(s.copy())[None, None] for s in slices)
    return before, after


@pytest.mark.parametrize("at", [0.5, 0.25])
def test_it_leads_from_the_slice_between_to_both_others(
    moved: tuple[torch.Tensor, torch.Tensor], at: float
) -> None:
    found = guidance(*moved, torch.tensor([at]), OffsetGuide())
    y, x = MOTION
    known = found.known.bool()
    assert known.float().mean() > 0.5
    for side, share in ((0, 2 * at), (2, -2 * (1 - at))):
        for axis, motion in enumerate((y, x)):
            value = found.towards[side][:, axis : axis + 1][known].median()
            assert float(value) == pytest.approx(share * motion, abs=0.5)


def test_where_flows_disagree_nothing_is_known() -> None:
    noise = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)).split(1)
    assert guidance(*noise, torch.tensor([0.5]), OffsetGuide()).known.mean() < 0.4


@pytest.mark.parametrize("stride", [2, 8])
def test_the_loss_is_how_far_mean_offsets_stray(
    moved: tuple[torch.Tensor, torch.Tensor], stride: int
) -> None:
    found = guidance(*moved, torch.tensor([0.5]), OffsetGuide())
    found.towards[0][:] = torch.tensor(MOTION).view(1, 2, 1, 1)
    found.known[:] = 1
    side = 96 // stride

    def points(y: float, x: float) -> Sampling:
        offset = torch.zeros(1, 2, 9, 2, side, side)
        offset += torch.tensor((y, x)).view(1, 1, 1, 2, 1, 1) / stride
        offset[:, 0] -= 7  # groups and taps may spread as they like
        offset[:, 1] += 7
        return Sampling(
            {(0, 1): SamplingPoints(offset, torch.full((1, 2, 9, side, side), 0.5), stride)}
        )

    y, x = MOTION
    assert float(fidelity_loss(points(y, x), found, 1.5)) == 0
    assert float(fidelity_loss(points(y, x + 1), found, 1.5)) == 0
    strays = float(fidelity_loss(points(y + 3, x + 4), found, 1.5))
    assert strays == pytest.approx(5 - 1.5, rel=0.05)


def test_guided_towers_learn_to_move(moved: tuple[torch.Tensor, torch.Tensor]) -> None:
    """On slices that all move alike, offsets come near the motion within some steps."""
    y, x = MOTION
    stack = np.stack(
        [np.roll(em_phantom((1, 96, 96))[0], (-i * y, -i * x), (0, 1)) for i in range(6)]
    )
    mean = {}
    for weight in (0.0, 0.1):
        torch.manual_seed(0)
        settings = TrainingSettings(
            steps=25, batch=2, crop=64, lr=4e-3, warmup=0, ema=0.0, offset_lr=1.0,
            offset_guide=OffsetGuide(weight),
        )  # fmt: skip
        sampler = TripletSampler([TripletSource(stack, IntensityRange(0, 255))], 64, 2)
        run = Trainer(TSAIN(SMALL), sampler, settings)
        losses = [r.loss for r in run.run()]
        assert np.isfinite(losses).all()
        sampling = Sampling()
        run.averaged(*moved, sampling)
        points = sampling.temporal[0, 3]
        mean[weight] = points.offset.mean((0, 1, 2, 4, 5)) * points.stride
    wanted = torch.tensor(MOTION, dtype=torch.float32)
    assert (mean[0.1] - wanted).norm() < (mean[0.0] - wanted).norm() - 0.4


def test_its_weight_fades() -> None:
    assert [OffsetGuide(0.2, steps=10).weight_at(s) for s in (0, 5, 10, 20)] == [0.2, 0.1, 0, 0]
    assert OffsetGuide(0.2).weight_at(99) == 0.2
    with pytest.raises(ValueError, match="below 0"):
        OffsetGuide(-1)
