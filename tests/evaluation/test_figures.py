"""Pictures: read back from the PNG, for what is drawn where."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray

from tsain_core.evaluation.figures import interpolation_figure, middle, xz_figure


def _grey(path: Path) -> NDArray[np.uint8]:
    image = iio.imread(path)[..., :3]
    assert np.ptp(image.astype(int), axis=2).max() <= 2, "nothing is coloured"
    return image[..., 0]


def _blocks(profile: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Runs of one value: (value, length)."""
    ends = np.flatnonzero(np.diff(profile.astype(int))) + 1
    return [(int(run[0]), len(run)) for run in np.split(profile, ends)]


def _panel_column(image: NDArray[np.uint8], x: int) -> list[tuple[int, int]]:
    return [(value, length) for value, length in _blocks(image[:, x]) if value != 255]


def test_cuts_show_slices_at_their_depths(tmp_path: Path) -> None:
    """Slices of one grey each: the coarse cut changes half-way between the slices it has."""
    after = np.repeat(np.linspace(40, 200, 5).astype(np.uint8), 32 * 64).reshape(5, 32, 64)
    after[:, :, 0], after[:, :, -1] = 0, 255  # fix the contrast of the picture
    xz_figure(tmp_path / "xz.png", after[::2], after, 16, z_scale=10.0)
    image = _grey(tmp_path / "xz.png")
    columns = image.shape[1] // 4, 3 * image.shape[1] // 4
    coarse, fine = (_panel_column(image, x) for x in columns)
    assert [v for v, _ in coarse] == [v for v, _ in fine][::2]
    total = sum(length for _, length in fine)
    assert sum(length for _, length in coarse) == pytest.approx(total, abs=2)
    wanted = {"coarse": (1 / 4, 1 / 2, 1 / 4), "fine": (1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8)}
    for blocks, shares in zip((coarse, fine), wanted.values(), strict=True):
        assert [n / total for _, n in blocks] == pytest.approx(shares, abs=0.01)
    # 40 pixels deep and 64 wide: in true proportion.
    panel = np.flatnonzero((image != 255).any(axis=0))
    left = int(np.flatnonzero(np.diff(panel) > 10)[0]) + 1
    assert total / left == pytest.approx(40 / 64, abs=0.03)


def test_shallow_cuts_lie_above_each_other(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (5, 16, 96), np.uint8)
    xz_figure(tmp_path / "flat.png", stack[::2], stack, 8, z_scale=2.0)
    xz_figure(tmp_path / "deep.png", stack[::2], stack, 8, z_scale=20.0)
    flat, deep = (iio.imread(tmp_path / f"{name}.png").shape for name in ("flat", "deep"))
    assert flat[0] < 0.5 * flat[1]
    assert deep[1] > 1.2 * flat[1]


@pytest.mark.parametrize(("methods", "rows"), [(1, 2), (3, 2), (4, 3)])
def test_true_slices_in_the_first_row_methods_below(
    tmp_path: Path, methods: int, rows: int
) -> None:
    rng = np.random.default_rng(1)
    before, truth, after = rng.integers(0, 255, (3, 48, 48), np.uint8)
    predicted = {f"method {i}": truth // 2 for i in range(methods)}
    path = tmp_path / "slices.png"
    interpolation_figure(path, before, predicted, truth, after)
    height, width = _grey(path).shape
    assert width == pytest.approx(150 * (3 * 3.2 + 0.4), abs=2)
    assert height == pytest.approx(150 * (rows * 3.62 + 0.1), abs=2)


@pytest.mark.parametrize(("size", "length"), [(5.0, 50.0), (4.0, 50.0), (0.01, 0.1)])
def test_scale_bar_has_its_length(tmp_path: Path, size: float, length: float) -> None:
    """The bar is the only white in a grey picture, as long as so many pixels of the slice."""
    slices = np.full((3, 64, 64), 90, np.uint8)
    slices[:, 0] = 180
    paths = [tmp_path / "plain.png", tmp_path / "bar.png"]
    for path, pixel in zip(paths, (None, (size, "nanometer")), strict=True):
        interpolation_figure(path, slices[0], {"a": slices[1]}, slices[1], slices[2], pixel=pixel)
    plain, bar = (_grey(path) for path in paths)
    assert plain.shape == bar.shape
    drawn = (bar == 255) & (plain != 255)
    assert drawn.sum(axis=1).max() == pytest.approx(length / size * 3.2 * 150 / 64, abs=2.5)


def test_large_slices_show_their_middle() -> None:
    image = np.arange(600 * 700).reshape(600, 700)
    assert middle(image).shape == (512, 512)
    assert middle(image)[0, 0] == image[44, 94]
    assert middle(image[:100]).shape == (100, 512)
