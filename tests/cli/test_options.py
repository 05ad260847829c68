"""Numbers in options that make no sense: one line, before anything is opened or computed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tsain_core.blockwise import InterpolationRequest
from tsain_core.cli import main
from tsain_core.errors import TsainError
from tsain_core.inference.models import InferenceSettings
from tsain_core.interpolation.schedule import parse_slices
from tsain_core.interpolation.selection import SliceSelection
from tsain_core.volumes import open_volume

LONG = "9" * 5000
EVERYWHERE = ["0", "-1", "nan", "inf", "", "x", "1e400", LONG]
BAD = {
    "interpolate": {
        "--factor": [*EVERYWHERE, "1", "17", "2.5", "100000"],
        "--z-size": EVERYWHERE,
        "--replace": ["1-99999999999", "5-3", "-1", "1,,2", f"0-{LONG}", LONG, "\u0663", "nan"],
        "--between": ["-1", "nan", LONG],
        "--voxel-size": EVERYWHERE,
        "--tile": [*EVERYWHERE, "1", "99999999999"],
        "--halo": ["-1", "nan", LONG],
        "--ensemble": ["0", "3", "-1", "nan", LONG],
        "--detail": ["-0.1", "1.1", "nan", "inf"],
        "--threads": [*EVERYWHERE, "100000"],
        "--workers": [*EVERYWHERE, "100000"],
        "--memory": [*EVERYWHERE, "-1GiB", "1.2.3G", "12 parsecs"],
        "--chunks": EVERYWHERE,
        "--shards": EVERYWHERE,
        "--range": ["nan", "x"],
        "--precision": ["fp8"],
    },
    "plan": {
        "--workers": [*EVERYWHERE, "1e9"],
        "--cores": EVERYWHERE,
        "--faster": EVERYWHERE,
        "--bandwidth": EVERYWHERE,
        "--price": ["-1", "nan", "inf"],
        "--on-paper": EVERYWHERE,
    },
    "evaluate": {
        "--crop": [*EVERYWHERE, "10"],
        "--every": EVERYWHERE,
        "--at-most": EVERYWHERE,
    },
    "finetune": {"--minutes": EVERYWHERE, "--seed": ["-1", "nan", LONG]},
    "train": {"--steps": EVERYWHERE},
    "demo": {"--seed": ["-1", "nan", LONG]},
}
TIMES = {"--between": 2, "--voxel-size": 3, "--chunks": 3, "--shards": 3, "--on-paper": 3}
CASES = [(c, o, v) for c, options in BAD.items() for o, values in options.items() for v in values]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((5, 32, 32), np.uint8))
    return path


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command says."""
    started = time.monotonic()
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code  # type: ignore[assignment]
    assert code in (1, 2)
    out, err = capsys.readouterr()
    assert not out
    (line,) = err.splitlines()
    assert line.startswith("tsain: ") and len(line) < 400
    assert time.monotonic() - started < 20
    return line


@pytest.mark.parametrize("command", BAD)
def test_one_line(source: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = {"demo": [], "train": [str(source)]}.get(command, [str(source)])
    output = source.parent / "out.zarr"
    for _, option, value in (case for case in CASES if case[0] == command):
        last = [str(output)] if command == "interpolate" else []
        if command in ("finetune", "train"):
            last = ["--output", str(output)]
        values = [value] * TIMES.get(option, 2 if option == "--range" else 1)
        line = refused([command, *first, *last, option, *values, "--quiet"], capsys)
        assert option in line or "intensity range" in line, (option, value)
    assert [p.name for p in source.parent.iterdir()] == [source.name]


@pytest.mark.parametrize(
    "words, said",
    [
        (["interpolate"], "required: input, output"),
        (["interpolate", "a", "b", "--nonsense"], "--nonsense"),
        (["nonsense"], "invalid choice"),
        ([], "COMMAND"),
        (["info", "a\x1b[31m", "b", "c\x1b[31m\n"], r"\x1b"),
    ],
)
def test_usage_errors(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(words, capsys)
    assert said in line and "--help` explains the options" in line


def test_slices_beyond_the_stack(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(source.parent / "out.tif")
    assert "slices 0 to 4" in refused(
        ["interpolate", str(source), out, "--replace", "2-900000", "-q", "--no-check"], capsys
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: parse_slices("1-99999999999"),
        lambda: parse_slices("9" * 5000),
        lambda: InferenceSettings(tile=0),
        lambda: InferenceSettings(halo=-1),
        lambda: InferenceSettings(detail=float("nan")),
        lambda: InterpolationRequest("a", "b", threads=100_000),
        lambda: InterpolationRequest("a", "b", memory=0),
        lambda: SliceSelection(factor=0).schedule(5),
        lambda: SliceSelection(factor=1).schedule(5),
        lambda: SliceSelection(factor=17).schedule(5),
        lambda: SliceSelection(z_size=float("nan")).schedule(5, 40.0),
        lambda: SliceSelection(z_size=1e308).schedule(5, 1e-300),
        lambda: SliceSelection(z_size=1e-300).schedule(5, 40.0),
        lambda: SliceSelection(z_size=0.0, between=(1, 2)).schedule(5, 40.0),
        lambda: SliceSelection(between=(3, 3)).schedule(5),
    ],
)
def test_from_python(make: object) -> None:
    with pytest.raises(TsainError):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("size", [("-40", "4", "4"), ("0", "0", "0"), ("nan", "4", "4")])
@pytest.mark.parametrize("suffix", [".tif", ".h5", ".zarr"])
def test_voxel_sizes_are_refused_for_every_output(
    source: Path, suffix: str, size: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    output = source.parent / f"out{suffix}"
    refused(["interpolate", str(source), str(output), "--voxel-size", *size], capsys)
    assert not output.exists()
    numbers = tuple(float(v) for v in size)
    with pytest.raises(TsainError):
        InterpolationRequest(str(source), str(output), voxel_size=numbers).open_volume()  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet(source: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in (".tif", ".zarr"):
        words = ["interpolate", str(source), str(source.parent / f"o{suffix}"), "--model", "mean"]
        assert main([*words, option, "--no-check"]) == 0
        assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".tif", ".zarr"])
def test_dry_run_writes_nothing(
    source: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = source.parent / f"out{suffix}"
    words = ["interpolate", str(source), str(output), "--model", "mean", "--dry-run", "-q"]
    assert main(words) == 0
    assert "9 slices, 4 of them synthetic" in capsys.readouterr().out
    assert [p.name for p in source.parent.iterdir()] == [source.name]
    assert "source is never touched" in refused([*words[:2], str(source), *words[3:]], capsys)
    output.write_text("precious") if suffix == ".tif" else output.mkdir()
    assert "exists" in refused(words, capsys)


def test_json(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = np.random.default_rng(0).integers(0, 255, (5, 32, 32), np.uint8)
    tifffile.imwrite(source, data, photometric="minisblack")
    found = []
    for words in (
        ["info", str(source), "--model", "mean", "--no-check"],
        ["models"],
        ["evaluate", str(source), "--model", "mean"],
    ):
        assert main([*words, "--json", "-q"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    info, models, scores = found
    assert info["shape"].startswith("5 x 32 x 32") and info["model"] == "mean"
    assert models["tsain-lite"]["licence"] and models["mean"] is None
    assert scores["mean"]["psnr"] > 0


def test_the_phantom_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stack.tif"
    assert main(["fetch-sample", "phantom", "--output", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    volume = open_volume(path)
    assert volume.shape == (25, 256, 256) and volume.voxel_size == (40.0, 5.0, 5.0)
    assert not volume.synthetic
    assert "exists" in refused(["fetch-sample", "phantom", "--output", str(path)], capsys)
