"""Learning from another network's slices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tsain_core.inference.intensity import IntensityRange
from tsain_core.network import TSAIN, NetworkSettings
from tsain_core.training import Trainer, TrainingSettings, TripletSampler, TripletSource
from tsain_core.training.distillation import Teacher, TeacherSettings
from tsain_core.training.losses import total_loss
from tsain_core.training.recipe import read_recipe

SMALL = NetworkSettings(
    channels=8, image_channels=1, feature_blocks=1, reconstruction_blocks=1,
    rsabs=1, drbs=1, groups=2, unshuffle=2, residual=True,
)  # fmt: skip
SETTINGS = TrainingSettings(steps=2, batch=2, crop=16, lr=1e-3, warmup=0, ema=0.0)
ARRAY = np.random.default_rng(0).integers(0, 255, (8, 32, 32), np.uint8)


def network(seed: int, positions: bool = False) -> TSAIN:
    torch.manual_seed(seed)
    return TSAIN(replace(SMALL, positions=positions))


def trainer(teacher: TeacherSettings, taught_by: TSAIN | None) -> Trainer:
    sampler = TripletSampler([TripletSource(ARRAY, IntensityRange(0, 255))], 16, 2)
    settings = replace(SETTINGS, teacher=teacher)
    return Trainer(network(0), sampler, settings, (), "cpu", teacher=taught_by)


def test_the_share_falls_to_what_is_kept() -> None:
    settings = TeacherSettings("tsain-lite", steps=10, share=0.2)
    assert [settings.share_at(step) for step in (0, 5, 8, 10, 99)] == [1, 0.5, 0.2, 0.2, 0.2]
    assert TeacherSettings().share_at(0) == 0
    with pytest.raises(ValueError, match="0 to 1"):
        TeacherSettings("tsain-lite", share=1.5)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_loss_is_that_against_its_slices_and_the_real_ones(share: float) -> None:
    """First loss of a run, computed here from the batch that it draws."""
    teacher = network(1, positions=True)
    run = trainer(TeacherSettings("mine", steps=1, share=share), teacher)
    run.step = 1 if share < 1 else 0
    before, truth, after, at = run.sampler.batch_at(run.step)
    with torch.no_grad():
        prediction = run.network(before, after)
        target = Teacher(teacher, torch.device("cpu")).slices(before, after, at)
        taught = total_loss(prediction, target, SETTINGS.loss)
        real = total_loss(prediction, truth, SETTINGS.loss)
    assert next(run.run()).loss == pytest.approx(
        float(share * taught + (1 - share) * real), rel=1e-4
    )


def test_both_orders_of_the_slices_count_alike() -> None:
    teacher = Teacher(network(1, positions=True), torch.device("cpu"))
    a, b = torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    at = torch.tensor([0.25, 0.5])
    assert torch.allclose(teacher.slices(a, b, at), teacher.slices(b, a, 1 - at), atol=1e-6)
    assert not any(p.requires_grad for p in teacher.network.parameters())


def test_a_recipe_names_its_teacher(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'name = "a"\npreset = "tsain"\nlicence = "x"\n[training]\n'
        'teacher = { model = "tsain-lite", steps = 5, share = 0.25 }\n'
        '[[volume]]\npath = "a.tif"\nlicence = "x"\n'
    )
    assert read_recipe(path).settings.teacher == TeacherSettings("tsain-lite", 5, 0.25)
