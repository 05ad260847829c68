"""The `tsain` command from end to end, as a process where that matters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import imageio.v3 as iio
import mrcfile
import numpy as np
import pytest
import tifffile
import torch
import zarr

from support.forked import Forked
from tsain_core.cli import demo, main
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN, NetworkSettings
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.volumes import create_volume, open_volume

SMALL = NetworkSettings(
    channels=8, image_channels=1, feature_blocks=1, reconstruction_blocks=1,
    rsabs=1, drbs=1, groups=2, unshuffle=2, residual=True,
)  # fmt: skip
STACK = np.random.default_rng(0).integers(30, 220, (7, 44, 52), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small network with random weights, as a model file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save(path, TSAIN(SMALL), ModelInfo("small", SMALL, licence="none"))
    return str(path)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A stack with voxel size, as OME-TIFF."""
    path = tmp_path / "in.tif"
    known = {"voxel_size": (50.0, 4.0, 4.0), "unit": "nanometer"}
    with create_volume(path, STACK.shape, STACK.dtype, **known) as writer:  # type: ignore[arg-type]
        for z, image in enumerate(STACK):
            writer.write(z, image)
    return path


def tsain(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def test_factor_2(tmp_path: Path, stack: Path, model: str) -> None:
    out = tmp_path / "out.zarr"
    assert tsain("interpolate", stack, out, "--model", model) == 0
    volume = open_volume(out)
    assert volume.shape == (13, 44, 52)
    np.testing.assert_array_equal(volume.data[::2].compute(), STACK)
    assert volume.voxel_size == (25.0, 4.0, 4.0)
    assert volume.unit == "nanometer"
    assert volume.synthetic == (1, 3, 5, 7, 9, 11)
    assert volume.provenance["model"] == "small"
    assert len(volume.provenance["weights_sha256"]) == 16
    assert volume.provenance["source"] == "in.tif"
    lo, hi = volume.provenance["intensity_range"]
    assert 30 <= lo < hi <= 220


def test_synthetic_slices_stay_marked_through_a_second_run(tmp_path: Path, stack: Path) -> None:
    tsain("interpolate", stack, tmp_path / "a.h5", "--model", "mean")
    tsain("interpolate", tmp_path / "a.h5", tmp_path / "b.tif", "--model", "mean")
    volume = open_volume(tmp_path / "b.tif")
    real = set(range(volume.shape[0])) - set(volume.synthetic)
    assert real == set(range(0, 25, 4))
    assert volume.provenance["source_provenance"]["model"] == "mean"


def test_replace(tmp_path: Path, stack: Path) -> None:
    out = tmp_path / "out.tif"
    assert tsain("interpolate", stack, out, "--model", "mean", "--replace", "1,3-4") == 0
    volume = open_volume(out)
    assert volume.shape == STACK.shape
    assert volume.synthetic == (1, 3, 4)
    assert volume.voxel_size == (50.0, 4.0, 4.0)
    for z in (0, 2, 5, 6):
        np.testing.assert_array_equal(volume[z], STACK[z])
    wanted = (STACK[2] * 2.0 + STACK[5]) / 3  # slice 3 lies a third of the way from 2 to 5
    np.testing.assert_allclose(volume[3], wanted, atol=0.51)


def test_between_and_z_size(tmp_path: Path, stack: Path) -> None:
    options = ("--model", "mean")
    tsain("interpolate", stack, tmp_path / "b.tif", "--between", 2, 4, "--factor", 4, *options)
    volume = open_volume(tmp_path / "b.tif")
    assert (volume.shape[0], volume.voxel_size, volume.offset[0]) == (9, (12.5, 4.0, 4.0), 100.0)
    np.testing.assert_array_equal(volume.data[::4], STACK[2:5])
    tsain("interpolate", stack, tmp_path / "z.zarr", "--z-size", 20, *options)
    volume = open_volume(tmp_path / "z.zarr")
    assert (volume.shape[0], volume.voxel_size) == (16, (20.0, 4.0, 4.0))
    np.testing.assert_array_equal(volume[5], STACK[2])
    assert volume.synthetic == tuple(i for i in range(16) if i % 5)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
@pytest.mark.parametrize("suffix", [".tif", ".h5", ".zarr"])
def test_dtype_and_range_come_back(tmp_path: Path, dtype: str, suffix: str, model: str) -> None:
    least = 0 if dtype == "uint16" else None
    data = (STACK.astype(np.float64) * 100 - 9000).clip(least).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", data)
    out = tmp_path / f"out{suffix}"
    assert tsain("interpolate", tmp_path / "in.tif", out, "--model", model) == 0
    result = open_volume(out).data.compute()
    assert result.dtype == data.dtype
    np.testing.assert_array_equal(result[::2], data)
    assert data.min() <= result.min()
    assert result.max() <= data.max()


def copies(folder: Path, data: np.ndarray) -> dict[str, Path]:
    """The same stack in every format that is read."""
    tifffile.imwrite(folder / "plain.tif", data)
    with h5py.File(folder / "cremi.h5", "w") as file:
        file["volumes/raw"] = data
    for version in (2, 3):
        zarr.create_array(str(folder / f"v{version}.zarr"), data=data, zarr_format=version)
    (folder / "slices").mkdir()
    for z, image in enumerate(data):
        iio.imwrite(folder / "slices" / f"s{z}.png", image)
    with mrcfile.new(folder / "a.mrc") as mrc:
        mrc.set_data(data.astype(np.uint16))  # MRC has no unsigned bytes
    return {p.name: p for p in folder.iterdir()}


def check_same_voxels(folder: Path, data: np.ndarray, model: str) -> np.ndarray:
    """Every format gives the same voxels; returns them."""
    inputs = folder / "inputs"
    inputs.mkdir()
    results = {}
    for name, path in copies(inputs, data).items():
        out = folder / f"{name}.out.zarr"
        assert tsain("interpolate", path, out, "--factor", 2, "--model", model) == 0
        volume = open_volume(out)
        assert volume.synthetic == tuple(range(1, 2 * len(data) - 1, 2))
        assert volume.voxel_size is None  # the source states none
        results[name] = volume.data.compute()
    for name, result in results.items():
        np.testing.assert_array_equal(result, results["plain.tif"], err_msg=name)
    return results["plain.tif"]


def test_every_format_gives_the_same_voxels(tmp_path: Path, model: str) -> None:
    result = check_same_voxels(tmp_path, STACK, model)
    np.testing.assert_array_equal(result[::2], STACK)


@pytest.mark.em_data
def test_every_format_gives_the_same_voxels_of_a_real_stack(tmp_path: Path, em_data: Path) -> None:
    data = tifffile.imread(em_data / "validate" / "isbi2012_train.tif")
    part = data[:5, 128:192, 128:192]
    result = check_same_voxels(tmp_path, part, "tsain-lite")
    assert result.shape == (9, 64, 64)
    np.testing.assert_array_equal(result[::2], part)


def test_usage_errors_are_one_line(
    tmp_path: Path, stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.tif"
    for arguments, words in [
        ((tmp_path / "none.tif", out), "nothing at"),
        ((stack, stack), "source is never touched"),
        ((stack, out, "--model", "nonsense"), "no model 'nonsense'"),
        ((stack, out, "--replace", "0"), "crop the volume"),
        ((stack, out, "--replace", "9"), "slices 0 to 6"),
        ((stack, out, "--between", 3, 3), "two different ones"),
        ((stack, out, "--z-size", 60), "to less than 1"),
        ((stack, out, "--z-size", 10, "--factor", 2), "give one of them"),
        ((stack, out, "--range", 5, 5), "low before high"),
        ((stack, tmp_path / "out.png"), ".tif, .h5 or .zarr"),
        ((stack, out, "--device", "nonsense", "--model", "auto"), ""),
    ]:
        assert tsain("interpolate", *arguments) == 1
        error = capsys.readouterr().err.splitlines()
        assert error[-1].startswith("tsain: ")
        assert words in error[-1]
        assert not out.exists()
    with pytest.raises(SystemExit) as caught:
        tsain("interpolate", stack, out, "--factor", 17)
    assert caught.value.code == 2
    np.testing.assert_array_equal(open_volume(stack).data.compute(), STACK)


@pytest.mark.parametrize("command", ["interpolate", "demo", "info", "fetch-sample", "models",
                                     "convert", "train", "evaluate", "doctor"])  # fmt: skip
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        tsain(command, "--help")
    assert caught.value.code == 0
    assert f"examples:\n  tsain {command}" in capsys.readouterr().out


def test_help_does_not_wait_for_torch() -> None:
    code = """
import sys
from tsain_core.cli import main
try:
    main(["--help"])
except SystemExit:
    assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_info(stack: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tsain("info", stack, "--factor", 4, "--model", model) == 0
    text = capsys.readouterr().out
    for words in ("7 x 44 x 52 (z, y, x), uint8", "50, 4, 4 nanometer", "OME-TIFF",
                  "25 slices, 18 of them synthetic, z voxel size 12.5", "time"):  # fmt: skip
        assert words in text


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("suffix", [".tif", ".h5"])  # .zarr goes on: see test_blockwise
def test_stopped_runs_leave_nothing(tmp_path: Path, model: str, stop: int, suffix: str) -> None:
    """Ctrl-C and SIGTERM clean up; after kill -9 nothing is under the final name."""
    data = np.random.default_rng(0).integers(0, 255, (40, 512, 512), np.uint8)
    tifffile.imwrite(tmp_path / "in.tif", data)
    out = tmp_path / f"out{suffix}"
    run = Forked("interpolate", tmp_path / "in.tif", out, "--model", model)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and run.returncode is None:
        if any(p.name.startswith(f".out{suffix}.partial") for p in tmp_path.iterdir()):
            break
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(run.pid, stop)
    _, error = run.communicate(timeout=60)
    names = {p.name for p in tmp_path.iterdir()}
    assert out.name not in names
    if stop == signal.SIGKILL:
        assert run.returncode == -signal.SIGKILL
    else:
        assert run.returncode == 130
        assert "Traceback" not in error
        assert names == {"in.tif"}
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "in.tif"), data)


def test_convert_round_trip_is_refused_for_other_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": {"fc.weight": torch.zeros(2)}}, tmp_path / "other.pth")
    assert tsain("convert", tmp_path / "other.pth", tmp_path / "m.safetensors") == 1
    assert "'fc'" in capsys.readouterr().err
    assert tsain("convert", tmp_path / "other.pth", tmp_path / "m.pth") == 1


def test_models_lists_weights_and_baselines(capsys: pytest.CaptureFixture[str]) -> None:
    assert tsain("models") == 0
    text = capsys.readouterr().out
    assert "optical-flow-blur2" in text
    assert "tsain-lite  (weights " in text
    assert "licence" in text


def test_evaluate_prints_a_table(
    tmp_path: Path, stack: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "scores.csv"
    assert tsain("evaluate", stack, "--model", model, "--csv", table, "--every", 2) == 0
    text = capsys.readouterr().out
    for name in ("small", "mean", "mean-blur1", "optical-flow-blur2"):
        assert f"| {name} " in text
    assert len(table.read_text().splitlines()) == 1 + 3 * 7


def test_demo_writes_a_report(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a phantom, here a smaller one than it takes by itself."""
    monkeypatch.setattr(demo, "em_phantom", lambda _, seed: em_phantom((13, 128, 128), seed=seed))
    folder = tmp_path / "report"
    assert tsain("demo", "--output", folder, "--model", model) == 0
    assert {p.name for p in folder.iterdir()} == {"report.md", "slices.png", "xz.png"}
    text = (folder / "report.md").read_text()
    for words in ("small", "optical-flow", "![slices](slices.png)", "PSNR"):
        assert words in text
    for name in ("slices.png", "xz.png"):
        assert min(iio.imread(folder / name).shape[:2]) > 200


def test_train_resume_and_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A few steps on small stacks; the model file works at once."""
    data = np.random.default_rng(0).integers(0, 255, (12, 72, 72), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "mine"\npreset = "tsain-lite"\nlicence = "none"\nheld_out = 0.3\n'
        "[training]\nsteps = 2\nbatch = 1\ncrop = 32\nvalidate_every = 2\nsave_every = 1\n"
        '[[volume]]\npath = "a.tif"\nlicence = "none"\n'
    )
    run = ("train", recipe, "--data", tmp_path, "--output", tmp_path / "run")
    assert tsain(*run) == 0
    assert tsain(*run) == 1
    assert "--resume" in capsys.readouterr().err
    assert tsain(*run, "--resume", "--steps", 3) == 0
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["step", "1", "2", "3"]
    out = tmp_path / "out.tif"
    weights = tmp_path / "run" / "mine.safetensors"
    assert tsain("interpolate", tmp_path / "a.tif", out, "--model", weights) == 0
    assert json.dumps(open_volume(out).provenance).count("mine")
