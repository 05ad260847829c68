"""The report on a stack: intervals, what misleads, the page, and the folder it is written to."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift
from scipy.stats import ttest_1samp

from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.evaluation.cubic import CubicInZ
from tsain_core.evaluation.intervals import interval
from tsain_core.evaluation.leave_one_out import leave_out
from tsain_core.evaluation.metrics import Scores
from tsain_core.inference.models import InferenceSettings, run_to_end
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN
from tsain_core.stack_check import StackCheck
from tsain_core.stack_report import StackReport, check_folder, report_on, write_folder
from tsain_core.stack_report.report import difference
from tsain_core.volumes import create_volume, open_volume

HOSTILE = "<script>alert(1)</script>&amp;\"'$x$"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))


def tissue(depth: int = 9, side: int = 96, noise: float = 3.0) -> NDArray[np.uint8]:
    """Structure that changes evenly along z, with grain that does not."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(depth, side, side)), (3, 1.5, 1.5), mode="wrap")
    grain = noise * rng.normal(size=smooth.shape)
    return np.clip(128 + 40 * smooth / smooth.std() + grain, 0, 255).astype(np.uint8)


def write(path: Path, stack: NDArray[np.uint8]) -> Path:
    with create_volume(path, stack.shape, stack.dtype) as writer:
        for z, image in enumerate(stack):
            writer.write(z, image)
    return path


def report(path: Path, stack: NDArray[np.uint8], **options: int) -> StackReport:
    return run_to_end(report_on(open_volume(write(path, stack)), ["mean"], **options))


def kinds(made: StackReport) -> set[str]:
    return {caution.kind for caution in made.cautions}


def test_an_interval_is_never_narrower_than_students() -> None:
    values = [0.8, 1.0, 0.5, 1.0]
    student = ttest_1samp(values, 0).confidence_interval(0.95)
    found = interval(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.low <= student.low + 1e-9 and found.high >= student.high - 1e-9
    assert interval([3.0]).low == -np.inf
    many = np.random.default_rng(1).normal(0.3, 1, 400)
    assert interval(many).high - interval(many).low == pytest.approx(2 * 1.96 / 20, rel=0.1)


def test_a_small_lead_over_three_slices_is_no_lead() -> None:
    def scores(*psnr: float) -> tuple[Scores, ...]:
        return tuple(Scores(p, p + 2, 0.5, 10, 1) for p in psnr)

    check = StackCheck((1, 2, 3), {"a": scores(20.1, 21.0, 19.05), "mean": scores(20, 21, 19)})
    found = difference(check, "a", "mean", "quality")
    assert found.mean == pytest.approx(0.05) and found.low < 0 < found.high


def test_cubic_is_exact_where_grey_values_are_a_cubic_along_z() -> None:
    z, across = np.arange(9.0) - 4, np.linspace(-1, 1, 32)
    cubic = z**3 / 4 - z**2 / 2 + z
    parabola = z**2 / 2 + z
    for curve, slices in ((cubic, range(2, 7)), (parabola, (1, 7))):
        stack = np.float32(curve)[:, None, None] + np.float32(across[:, None] + across)
        for left in leave_out(stack, [CubicInZ()], slices=list(slices)):
            assert np.abs(left.image - left.truth).max() < 0.01


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_numbers_and_names_that_are_no_markup(tmp_path: Path, stirred_network: TSAIN) -> None:
    name = f"{HOSTILE.replace('/', '')}.tif"
    model = tmp_path / "m$<b>&\u4e2d.safetensors"
    save(model, stirred_network, ModelInfo(HOSTILE, stirred_network.settings))
    volume = open_volume(write(tmp_path / name, tissue(5, 48)))
    made = run_to_end(report_on(volume, [str(model)], crop=32))
    files = write_folder(made, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {p.name for p in files}
    page = _Tags()
    page.feed(files[0].read_text(encoding="utf-8"))
    assert not {"script", "b", "link", "iframe"} & set(page.tags)
    assert name in page.text and str(model) in page.text
    assert "optical flow, blurred by 2 pixels" in page.text and "-blur" not in page.text
    assert not re.search(r"[+-]0\.0+(?![0-9])", page.text)  # nothing has no sign
    # nothing is fetched from elsewhere
    sources = [value or "" for key, value in page.attributes if key in ("src", "href")]
    assert all(value.startswith(("data:", "#")) for value in sources)
    assert page.tags.count("svg") == 6 and page.tags.count("img") == 6 * len(made.worst)
    numbers = json.loads(files[1].read_text())
    assert numbers["stack"]["name"] == name and numbers["slices"] == [1, 2, 3]
    assert set(numbers["methods"]) >= {str(model), f"{model}, blurred by 1 pixel", "cubic", "mean"}
    mean = numbers["methods"]["mean"]
    assert mean["mean"]["psnr"]["mean"] == pytest.approx(np.mean(mean["slices"]["psnr"]))
    assert len(files[2].read_text().splitlines()) == 1 + 3 * len(made.check.scores)


def test_errors_lie_where_the_slices_were(tmp_path: Path) -> None:
    stack = tissue(5, 64)
    made = report(tmp_path / "a.tif", stack, crop=32)
    assert made.errors.corner == (16, 16) and sorted(made.errors.images) == [1, 2, 3]
    mean = (stack[1].astype(float) + stack[3]) / 2 - stack[2]
    found = made.errors.images[2].astype(float)
    assert np.abs(found - mean[16:48, 16:48]).max() < 0.2


def test_what_misleads_is_said(tmp_path: Path) -> None:
    noisy = tissue(noise=40)
    assert "blur" in kinds(report(tmp_path / "noisy.tif", noisy))
    clean = report(tmp_path / "clean.tif", tissue(24, noise=0), most=8, crop=64)
    assert not kinds(clean) & {"copies", "misaligned", "brightness", "blur", "few", "damage"}
    moved = tissue(24, 160)
    for z in (7, 8, 13, 14):
        moved[z] = shift(moved[z], (9, 5), order=1, mode="wrap")
    assert "misaligned" in kinds(report(tmp_path / "moved.tif", moved))
    jumps = tissue(12).astype(float)
    jumps[4:6] = jumps[4:6] * 0.6 + 90
    jumps[8] -= 35
    assert "brightness" in kinds(report(tmp_path / "j.tif", jumps.clip(0, 255).astype(np.uint8)))
    copied = tissue(12, noise=12).astype(float)
    copied[6] = copied[5] + np.random.default_rng(2).normal(0, 1, copied[5].shape)
    copies = report(tmp_path / "copied.tif", copied.clip(0, 255).astype(np.uint8))
    assert "copies" in kinds(copies)
    assert {5, 6} <= {z for c in copies.cautions if c.kind == "copies" for z in c.slices}


def test_a_fine_tuned_model_takes_part_and_is_not_trusted(
    tmp_path: Path, stirred_network: TSAIN
) -> None:
    info = ModelInfo("tuned", stirred_network.settings, training={"finetuned_on": "mine.tif"})
    save(tmp_path / "home" / "models" / "tuned.safetensors", stirred_network, info)
    made = report(tmp_path / "mine.tif", tissue(5, 48), crop=32)
    assert "tuned" in made.check.scores and "learnt" in kinds(made)
    other = report(tmp_path / "other.tif", tissue(5, 48), crop=32)
    assert "tuned" not in other.check.scores


def test_a_mixed_model_is_not_quite_trusted(tmp_path: Path, stirred: str) -> None:
    volume = open_volume(write(tmp_path / "a.tif", tissue(5, 48)))
    mixed = InferenceSettings(mean_shares=(0.5, 0.2))
    plain, with_mean = (
        run_to_end(report_on(volume, [stirred], settings, crop=32))
        for settings in (InferenceSettings(), mixed)
    )
    assert "learnt" in kinds(with_mean) and "learnt" not in kinds(plain)


def test_what_was_scored_before_is_not_computed_again(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "a.tif", tissue(5, 48)))
    first = {event.what for event in report_on(volume, ["mean"], crop=32)}
    again = {event.what for event in report_on(volume, ["mean"], crop=32)}
    assert "cubic" in first and again == {"mean", "looking for damage"}


def test_scores_of_aligned_pairs_are_kept_by_themselves(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "a.tif", tissue(5, 48)))
    aligned = InferenceSettings(align=True)
    computed = [
        {event.what for event in report_on(volume, ["mean"], settings, crop=32)}
        for settings in (InferenceSettings(), aligned, aligned)
    ]
    assert "optical-flow" in computed[0] & computed[1]
    assert "optical-flow" not in computed[2]


def test_command_folder_and_what_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, out = str(write(tmp_path / "a.tif", tissue(8, 48))), tmp_path / "out"
    command = ["-q", stack, "--model", "mean", "--model", "optical-flow", "--crop", "32"]
    command = ["evaluate", *command, "--report", str(out)]
    assert main([*command, "--at-most", "3"]) == 0
    text = capsys.readouterr().out
    assert "3 of 6 inner slices" in text and "Only 3 triplets" in text
    assert main(command) == 1 and "holds a report" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["slices"]) == 6
    (out / "thesis.docx").write_text("mine")
    assert main([*command, "--overwrite"]) == 1
    assert "thesis.docx" in capsys.readouterr().err and (out / "thesis.docx").exists()
    assert main([*command[:-1], str(tmp_path / "no" / "out")]) == 1
    assert main([*command, "--every", "2"]) == 1
    assert "--at-most" in capsys.readouterr().err
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".out")]
    with pytest.raises(TsainError, match="a file"):
        check_folder(Path(stack))


def test_stopping_writes_nothing(tmp_path: Path) -> None:
    work = report_on(open_volume(write(tmp_path / "a.tif", tissue(8, 48))), ["mean"], crop=32)
    next(work)
    work.close()
    assert {p.name for p in tmp_path.iterdir()} == {"a.tif"}
