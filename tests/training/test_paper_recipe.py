"""What the paper's recipe needs: settings, squares, the loss as judge, folders of triplets."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import torch

from support import REPOSITORY
from support.small_training import SETTINGS, trainer, weights
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.inference.intensity import IntensityRange
from tsain_core.training import Augmentation, LossSettings, TripletSampler, TripletSource
from tsain_core.training.losses import LOSSES
from tsain_core.training.recipe import read_recipe

RECIPE = REPOSITORY / "weights" / "tsain-paper.toml"
PLAIN = Augmentation(0.0, 0.0, 0.0, 0.0)


def test_the_recipe_is_the_papers() -> None:
    recipe = read_recipe(RECIPE)
    s, (volume,) = recipe.settings, recipe.volumes
    assert (s.lr, s.batch, s.crop, s.loss) == (4e-4, 8, 256, LOSSES["paper"])
    assert (s.plateau, s.judge_by, s.keep_best) == (6, "loss", True)
    assert (s.ema, s.clip, s.warmup, s.offset_penalty, s.offset_lr) == (0, 0, 0, 0, 1)
    assert all(s.lr_factor(step) == 1 for step in (0, s.steps // 2, s.steps - 1))
    assert volume.augmentation == PLAIN
    assert volume.grid == 512 and volume.specify_histograms
    assert volume.screening is not None and volume.screening.align > 0
    assert recipe.intensity_range == (0, 255)


def test_the_range_is_fixed_for_data_and_model(tmp_path: Path) -> None:
    text = RECIPE.read_text().replace("sample_B_padded_20160501.hdf", "a.tif")
    text = text.replace('dataset = "volumes/raw"\n', "").replace("[0, 255]", "[10, 240]")
    (tmp_path / "r.toml").write_text(text)
    grey = np.random.default_rng(0).integers(90, 150, (30, 24, 24), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", grey)
    ((source, _),) = read_recipe(tmp_path / "r.toml").load_sources(tmp_path)
    assert (source.intensity.lo, source.intensity.hi) == (10, 240)
    (tmp_path / "r.toml").write_text(text.replace("[10, 240]", "[240, 10]"))
    with pytest.raises(TsainError, match="low before high"):
        read_recipe(tmp_path / "r.toml")


def test_crops_stay_within_their_square() -> None:
    squares = np.arange(6, dtype=np.uint8).reshape(2, 3).repeat(32, 0).repeat(32, 1)
    array = np.full((3, 70, 100), 255, np.uint8)  # what is left over belongs to no square
    array[:, :64, :96] = squares
    source = TripletSource(array, IntensityRange(0, 255), augmentation=PLAIN, grid=32)
    rng = np.random.default_rng(0)
    crops = np.stack([source.draw(rng, 24)[0] for _ in range(100)])
    assert (np.ptp(crops, (1, 2, 3)) == 0).all()
    assert len(np.unique(crops)) == 6
    with pytest.raises(TsainError, match="grid is 32"):
        TripletSampler([source], 40, 1)


def test_validations_are_judged_by_the_loss() -> None:
    loss = LossSettings(mse=1.0, charbonnier=0.0, ssim=0.0, spectrum=0.3)
    settings = replace(SETTINGS, steps=8, validate_every=1, lr=0.1, judge_by="loss", loss=loss)
    run = trainer(settings)
    losses = [run.validation_loss() for _ in run.run()]
    assert run.best.loss == min(losses)
    assert run.best.step == 1 + losses.index(min(losses))
    run.averaged.load_state_dict(run.best.weights)
    assert run.validation_loss() == pytest.approx(min(losses))
    with pytest.raises(ValueError, match="psnr or loss"):
        replace(SETTINGS, judge_by="ssim")


def test_neither_average_nor_clipping() -> None:
    """The saved weights are the last ones, and steps are Adam's own."""
    loss = LossSettings(mse=1e6)
    free = trainer(replace(SETTINGS, steps=2, ema=0, clip=0, warmup=0, loss=loss))
    list(free.run())
    assert torch.equal(weights(free.network), weights(free.averaged))
    large = trainer(replace(SETTINGS, steps=2, ema=0, clip=1e12, warmup=0, loss=loss))
    list(large.run())
    assert torch.equal(weights(free.network), weights(large.network))


def test_folders_of_triplets_are_scored_as_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (6, 32, 40), np.uint8)
    for i, image in enumerate(images):
        iio.imwrite(tmp_path / f"B_0_0_{i // 3}_{i % 3}.png", image)
    table = tmp_path / "scores.csv"
    command = ["evaluate", str(tmp_path), "--triplets", "--model", "mean", "--csv", str(table)]
    assert main(command) == 0
    rows = [row for row in csv.DictReader(table.open()) if row["model"] == "mean"]
    assert [int(row["z"]) for row in rows] == [1, 4]
    for row in rows:
        z = int(row["z"])
        mean = np.rint((images[z - 1].astype(float) + images[z + 1]) / 2)
        expected = np.abs(mean - images[z]).mean()
        assert float(row["ie"]) == pytest.approx(expected, abs=0.3)  # halves may round either way
