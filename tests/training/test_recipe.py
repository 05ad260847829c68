"""Training recipes: a good one, and what is wrong with the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tsain_core.errors import TsainError
from tsain_core.system.resources import weights_folder
from tsain_core.training import Augmentation
from tsain_core.training.recipe import read_recipe
from tsain_core.training.regimes import Regimes

RNG = np.random.default_rng(0)

RECIPE = """
name = "mine"
preset = "tsain-lite"
licence = "CC BY"
[training]
steps = 7
lr = 2e-4
[loss]
ssim = 0.3
[[volume]]
path = "a.tif"
licence = "CC BY"
axes = [0, 1, 2]
spacings = [1, 2]
augmentation = { noise = [0.0, 0.1], shift = 1 }
"""


def test_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    tifffile.imwrite(tmp_path / "a.tif", RNG.integers(0, 255, (20, 24, 24), np.uint8))
    recipe = read_recipe(tmp_path / "r.toml")
    assert (recipe.settings.steps, recipe.settings.lr, recipe.settings.loss.ssim) == (7, 2e-4, 0.3)
    ((training, held),) = recipe.load_sources(tmp_path)
    assert len(training.array) + len(held.array) == 20
    assert training.axes == (0, 1, 2)
    assert training.augmentation == Augmentation(noise=(0.0, 0.1), shift=1)
    assert recipe.provenance()["volumes"][0]["file"] == "a.tif"


@pytest.mark.parametrize("path", sorted(weights_folder().glob("*.toml")), ids=lambda p: p.stem)
def test_recipes_that_ship_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == path.stem and recipe.volumes


def test_ranges_of_conditions(tmp_path: Path) -> None:
    """Those of the recipe hold for all volumes; each may change some."""
    text = RECIPE.replace("[[volume]]", "[regimes]\nnoise = [0.0, 0.3]\n[[volume]]")
    text += "regimes = { gaps = [2, 24] }\nequalise = true\n"
    (tmp_path / "r.toml").write_text(text)
    tifffile.imwrite(tmp_path / "a.tif", RNG.integers(0, 255, (20, 24, 24), np.uint8))
    recipe = read_recipe(tmp_path / "r.toml")
    ((training, _),) = recipe.load_sources(tmp_path)
    assert training.regimes == Regimes(noise=(0.0, 0.3), gaps=(2, 24))
    assert recipe.provenance()["volumes"][0]["regimes"]["gaps"] == (2, 24)
    assert np.ptp(training.array.mean((1, 2))) < 1e-3
    for wrong in ("noise = 0.1", "nose = [0.0, 0.3]"):
        (tmp_path / "r.toml").write_text(text.replace("noise = [0.0, 0.3]", wrong))
        with pytest.raises(TsainError, match=r"r\.toml"):
            read_recipe(tmp_path / "r.toml")


def test_entries_of_one_stack_hold_out_the_same_slices(tmp_path: Path) -> None:
    second = (
        RECIPE[RECIPE.index("[[volume]]") :].replace("[1, 2]", "[4]").replace("[0, 1, 2]", "[0]")
    )
    (tmp_path / "r.toml").write_text(RECIPE + second)
    tifffile.imwrite(tmp_path / "a.tif", RNG.integers(0, 255, (20, 24, 24), np.uint8))
    near, far = read_recipe(tmp_path / "r.toml").load_sources(tmp_path)
    for part in (0, 1):
        np.testing.assert_array_equal(near[part].array, far[part].array)
    assert len(list(near[1].fixed(16))) == 1
    assert not list(far[1].fixed(16))  # too far apart for five slices


def test_names_in_any_language(tmp_path: Path) -> None:
    """TOML is UTF-8, whatever the locale."""
    text = RECIPE.replace('name = "mine"', 'name = "Gewebe-ä"')
    (tmp_path / "r.toml").write_bytes(text.encode())
    assert read_recipe(tmp_path / "r.toml").name == "Gewebe-ä"
    (tmp_path / "r.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(TsainError, match="no TOML file"):
        read_recipe(tmp_path / "r.toml")


def test_volumes_that_cannot_serve(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    recipe = read_recipe(tmp_path / "r.toml")
    with pytest.raises(TsainError, match="a.tif"):
        recipe.load_sources(tmp_path)
    tifffile.imwrite(tmp_path / "a.tif", RNG.integers(0, 255, (9, 24, 24), np.uint8))
    with pytest.raises(TsainError, match="9 slices.*at least 10"):
        recipe.load_sources(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "mine"', "", "wrong or missing entry.*name"),
        ("steps = 7", "stps = 7", "stps"),
        ("axes", "axis", "unknown entry 'axis'"),
        ('"tsain-lite"', '"tsain-huge"', "tsain-huge"),
        ("shift = 1", "shft = 1", "shft"),
        ("[loss]", "[los]", "unknown entry.*los"),
        ("[training]", "[training", "no TOML file"),
        ("[[volume]]", "[volume]", "wrong or missing entry"),
        (RECIPE, "volume = []" + RECIPE.partition("[[volume]]")[0], "names no volume"),
        ("steps = 7", 'steps = "7"', "steps is '7'"),
        ("lr = 2e-4", "lr = true", "lr is True"),
        ("ssim = 0.3", 'ssim = "much"', "ssim is 'much'"),
        ("shift = 1", "shift = 1.5", "shift is 1.5"),
        ("axes = [0, 1, 2]", "axes = [3]", "axes of 0, 1, 2"),
        ("axes = [0, 1, 2]", "axes = []", "axes of 0, 1, 2"),
        ("axes = [0, 1, 2]", "axes = 0", "wrong or missing entry"),
        ("spacings = [1, 2]", "spacings = [0]", "spacings from 1"),
        ('path = "a.tif"', 'path = "a.tif"\nweight = -1', "weight from 0"),
        ('path = "a.tif"', 'path = "a.tif"\nweight = nan', r"volume\[0\].weight is nan"),
        ('path = "a.tif"', 'path = "a.tif"\nequalise = 1', r"volume\[0\].equalise is 1; true"),
        ("[training]\nsteps = 7\nlr = 2e-4", "training = 5", "wrong or missing entry"),
        ("[loss]\nssim = 0.3", "loss = [1]", "loss is"),
        ("ssim = 0.3", 'preset = "none"', "'none' is missing"),
        ("ssim = 0.3", "preset = [1]", "wrong or missing entry"),
        ("spacings = [1, 2]", "regimes = 3", r"volume\[0\].regimes is 3; a table"),
        ("[[volume]]", "intensity_range = [9, 3]\n[[volume]]", "unknown entry"),
        ('name = "mine"', 'name = "mine"\nintensity_range = [9, 3]', "9 to 3; low before high"),
        (
            'name = "mine"',
            'name = "mine"\nintensity_range = [9]',
            r"intensity_range\[1\] is missing",
        ),
        ('name = "mine"', 'name = "mine"\nheld_out = "most"', "held_out is 'most'; a number"),
    ],
)
def test_wrong_recipes(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "r.toml").write_text(RECIPE.replace(old, new))
    with pytest.raises(TsainError, match=message) as caught:
        read_recipe(tmp_path / "r.toml")
    assert "\n" not in str(caught.value)
    with pytest.raises(TsainError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
