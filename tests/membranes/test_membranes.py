"""Scores of membranes: against plain sums, skimage, and cases whose values are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from safetensors.numpy import save_file
from skimage.metrics import adapted_rand_error

from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.membranes import (
    MembraneJudge,
    load_segmenter,
    membrane_scores,
    membranes,
    regions_of,
)
from tsain_core.membranes.network import PIXEL_SIZE
from tsain_core.membranes.scores import _components
from tsain_core.sample_data.phantom import em_phantom


def grid(side: int = 48, cell: int = 12, shift: int = 0) -> NDArray[np.bool_]:
    """Square cells between membranes of one pixel."""
    lines = (np.arange(side) + shift) % cell == 0
    return lines[:, None] | lines[None, :]


def test_the_same_membranes_are_perfect() -> None:
    reference = grid()
    scores = membrane_scores(reference.astype(float), reference)
    assert (scores.membrane, scores.rand, scores.information) == pytest.approx((1, 1, 1))


def test_membranes_may_lie_beside_by_the_tolerance() -> None:
    reference, moved = grid(120), grid(120, shift=2).astype(float)
    assert membrane_scores(moved, reference, tolerance=2).membrane > 0.9  # but at the rim
    assert membrane_scores(moved, reference, tolerance=1).membrane < 0.6


def test_one_missing_membrane_costs_regions_more_than_pixels() -> None:
    reference = grid(49, 48)  # one cell
    reference[24] = True  # two
    found = reference.copy()
    found[24, 10:14] = False  # which a small gap joins
    scores = membrane_scores(found.astype(float), reference)
    assert scores.membrane > 0.98
    assert scores.rand == pytest.approx(2 / 3, abs=0.02)  # halves: (1/4 + 1/4) / ((1 + 1/2) / 2)
    assert scores.information == pytest.approx(0, abs=0.02)


def test_nothing_found_and_nothing_there() -> None:
    nothing = np.zeros((20, 20))
    assert membrane_scores(nothing, nothing.astype(bool)).membrane == 1
    assert membrane_scores(nothing, grid(20)).membrane == 0
    with pytest.raises(ValueError, match="Shapes differ"):
        membrane_scores(nothing, grid(24))


def test_rand_is_that_of_skimage_and_information_that_of_plain_sums() -> None:
    dice = np.random.default_rng(0)
    reference = grid(60, 10)
    probability = np.where(reference, 0.9, 0.1)
    probability[dice.random(reference.shape) < 0.02] = 0.2
    scores = membrane_scores(probability, reference)
    segments, truth = regions_of(probability), _components(~reference)
    error, *_ = adapted_rand_error(truth, segments, ignore_labels=(0,))
    pairs = int((truth > 0).sum())
    assert scores.rand == pytest.approx(1 - error, abs=30 / pairs)  # which counts no pixel twice
    inside = truth > 0
    p: dict[tuple[int, int], float] = {}
    for pair in zip(segments[inside], truth[inside], strict=True):
        p[pair] = p.get(pair, 0) + 1 / pairs
    shares = [
        {k: sum(v for key, v in p.items() if key[axis] == k) for k in {key[axis] for key in p}}
        for axis in (0, 1)
    ]
    entropies = [-sum(v * np.log2(v) for v in share.values()) for share in (*shares, p)]
    mutual = entropies[0] + entropies[1] - entropies[2]
    assert scores.information == pytest.approx(2 * mutual / (entropies[0] + entropies[1]))


def test_the_segmenter_sees_membranes_lost_by_blur() -> None:
    from scipy.ndimage import gaussian_filter

    image = em_phantom((1, 128, 130), seed=1)[0]
    found = membranes(image)
    assert found.shape == image.shape and found.dtype == np.float32
    reference = found >= 0.5
    assert 0.02 < reference.mean() < 0.6
    inverted = membranes(255 - image)
    assert np.corrcoef(found.ravel(), inverted.ravel())[0, 1] < 0.5  # it looks for dark ones
    blurred = membrane_scores(membranes(gaussian_filter(image.astype(float), 4)), reference)
    assert blurred.rand < 0.99 and blurred.membrane < 0.95


def test_files_that_hold_no_segmenter(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("none")
    for name in ("other", "text", "missing"):
        with pytest.raises(TsainError, match=f"{name}.safetensors holds no membrane segmenter"):
            load_segmenter(tmp_path / f"{name}.safetensors")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, em_phantom((4, 96, 96)), photometric="minisblack")
    words = ["evaluate", str(path), "--model", "mean", "--membranes"]
    assert main(words) == 0
    said = capsys.readouterr().out
    rows = [line.split("|") for line in said.splitlines() if line.startswith("| mean ")]
    assert len(rows) == 2 and all(0 <= float(value) <= 1 for value in rows[1][2:5])
    assert "V^Rand" in said
    assert main([*words, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["mean"]
    assert scores["rand"] == pytest.approx(float(rows[1][3]), abs=1e-3)


def test_slices_are_brought_to_the_scale_of_the_segmenter() -> None:
    image = em_phantom((1, 96, 120))[0]
    assert MembraneJudge(PIXEL_SIZE / 2).find(image).shape == (48, 60)
    assert MembraneJudge(PIXEL_SIZE * 2).find(image).shape == (192, 240)
    assert (
        MembraneJudge(None).find(image).shape == MembraneJudge(9.0).find(image).shape == (96, 120)
    )
