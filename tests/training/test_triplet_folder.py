"""Ready-made triplets in folders, as the authors and Vimeo-90K lay them out."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray

from tsain_core.errors import TsainError
from tsain_core.training.recipe import read_recipe
from tsain_core.training.triplet_folder import read_triplets

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 255, (14, 40, 40), np.uint8)

RECIPE = """
name = "mine"
preset = "tsain-lite"
licence = "CC BY"
held_out = 0.2
[[volume]]
path = "triplets"
licence = "CC BY"
triplets = true
"""


def write_flat(folder: Path, starts: range) -> None:
    """Images in the authors' layout; the last four parts of a name give the order."""
    folder.mkdir()
    for z in starts:
        for k in range(3):
            iio.imwrite(folder / f"cremi_A_{z:03d}_0_0_{k}.png", STACK[z + k])


def test_the_authors_layout(tmp_path: Path) -> None:
    write_flat(tmp_path / "t", range(0, 12, 3))
    found = read_triplets(tmp_path / "t")
    assert np.array_equal(found, STACK[:12])


def test_the_layout_of_vimeo(tmp_path: Path) -> None:
    for i in range(2):
        folder = tmp_path / "sequences" / "00001" / f"{i:04d}"
        folder.mkdir(parents=True)
        for k in range(3):
            colour = np.repeat(STACK[3 * i + k][..., None], 3, 2)
            iio.imwrite(folder / f"im{k + 1}.png", colour)
    assert np.array_equal(read_triplets(tmp_path), STACK[:6])
    (tmp_path / "sequences" / "00001" / "0001" / "im3.png").unlink()
    with pytest.raises(TsainError, match="im1, im2 and im3"):
        read_triplets(tmp_path)


def test_folders_that_hold_no_triplets(tmp_path: Path) -> None:
    with pytest.raises(TsainError, match="no folder"):
        read_triplets(tmp_path / "none")
    with pytest.raises(TsainError, match="0 images"):
        read_triplets(tmp_path)
    write_flat(tmp_path / "t", range(2))
    iio.imwrite(tmp_path / "t" / "cremi_A_000_0_0_1.png", STACK[0, :20])
    with pytest.raises(TsainError, match="one size and dtype"):
        read_triplets(tmp_path / "t")
    (tmp_path / "t" / "cremi_A_000_0_0_1.png").write_bytes(b"no image")
    with pytest.raises(TsainError, match="cannot be read"):
        read_triplets(tmp_path / "t")
    (tmp_path / "t" / "cremi_A_000_0_0_1.png").unlink()
    with pytest.raises(TsainError, match="5 images"):
        read_triplets(tmp_path / "t")


def images(array: NDArray[np.uint8]) -> set[bytes]:
    return {image.tobytes() for image in array}


def test_held_out_triplets_share_no_image_with_the_others(tmp_path: Path) -> None:
    """Triplets at every slice overlap: those beside the held-out ones belong to neither part."""
    write_flat(tmp_path / "triplets", range(12))
    (tmp_path / "r.toml").write_text(RECIPE)
    ((training, held),) = read_recipe(tmp_path / "r.toml").load_sources(tmp_path)
    assert len(held.array) == 9
    assert len(training.array) == 3 * (12 - 3 - 2)
    assert images(training.array).isdisjoint(images(held.array))
    rng = np.random.default_rng(0)
    drawn = {training.draw(rng, 40)[0].shape for _ in range(5)}
    assert drawn == {(3, 40, 40)}
    assert len(list(held.fixed(40))) == 3
    assert np.array_equal(next(held.fixed(40)), held.intensity.to_unit(STACK[9:12]))


def test_ready_made_triplets_have_no_spacing(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE + "spacings = [2]\n")
    with pytest.raises(TsainError, match="leave out axes and spacings"):
        read_recipe(tmp_path / "r.toml")
