"""`import tsain_core as tsain`: light to import, and each public function does a whole job."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

import tsain_core as tsain
from support import REPOSITORY
from tsain_core.errors import TsainError
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN
from tsain_core.sample_data.phantom import em_phantom


@pytest.fixture(scope="module")
def array() -> NDArray[np.uint8]:
    return em_phantom((5, 64, 72), seed=3)


@pytest.fixture
def stack(array: NDArray[np.uint8], tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, array, photometric="minisblack")
    return path


def _python(code: str, cwd: Path = REPOSITORY) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("way", ["import tsain_core", "tsain_core.cli.main(['--help'])"])
def test_import_and_help_load_nothing_heavy(way: str) -> None:
    heavy = {"torch", "numpy", "dask", "zarr", "numba", "scipy", "matplotlib", "tqdm"}
    _python(
        f"import sys, tsain_core\nimport tsain_core.cli.main\n"
        f"try:\n    {way}\nexcept SystemExit:\n    pass\n"
        f"heavy = {heavy!r} & set(sys.modules)\nassert not heavy, heavy"
    )


def test_opening_a_volume_does_not_load_torch() -> None:
    _python("import sys, tsain_core\ntsain_core.open_volume\nassert 'torch' not in sys.modules")


def test_the_readme_example_runs_as_printed(stack: Path) -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in example.splitlines() if line]) == 3
    # what a run does not use takes seconds to import
    left = "{'torchvision', 'distributed', 'scipy.stats', 'matplotlib'} & set(sys.modules)"
    code = f"{example}\nimport sys\nprint(finer.shape, finer.dtype, {left})"
    assert _python(code, stack.parent).strip() == "(9, 64, 72) uint8 set()"


def test_every_public_name_is_there_and_documented() -> None:
    assert set(tsain.__all__) <= set(dir(tsain))
    for name in tsain.__all__:
        item = getattr(tsain, name)
        assert callable(item), name  # a function, whatever modules have been imported
        text = inspect.getdoc(item) or ""
        if name == "InferenceSettings":
            continue
        for head in ("Parameters", "Returns", "Raises"):
            assert f"\n{head}\n---" in text, (name, head)
        for parameter in inspect.signature(item).parameters:
            assert re.search(rf"^(\w+, )*{parameter}\b", text, re.MULTILINE), (name, parameter)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tsain.nothing  # noqa: B018


def test_interpolate_takes_any_form_of_a_stack(array: NDArray[np.uint8], stack: Path) -> None:
    expected = tsain.interpolate(array, model="mean")
    assert expected.shape == (9, 64, 72) and expected.dtype == np.uint8
    assert np.array_equal(expected[::2], array)
    lazy = da.from_array(array, chunks=(2, 32, 32))
    for source in (stack, str(stack), tsain.open_volume(stack), lazy, list(array)):
        assert np.array_equal(tsain.interpolate(source, model="mean"), expected)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_interpolate_keeps_the_dtype(array: NDArray[np.uint8], dtype: str) -> None:
    source = array.astype(dtype)
    result = tsain.interpolate(source, factor=4, model="optical-flow")
    assert result.dtype == source.dtype and len(result) == 17
    assert np.array_equal(result[::4], source)


def test_interpolate_selects_slices(array: NDArray[np.uint8]) -> None:
    assert len(tsain.interpolate(array, between=(1, 3), factor=4, model="mean")) == 9
    sizes = {"voxel_size": (40, 5, 5), "unit": "nm"}
    assert len(tsain.interpolate(array, z_size=10, model="mean", **sizes)) == 17
    repaired = tsain.interpolate(array, replace=[2], model="mean")
    assert np.array_equal(repaired[[0, 1, 3, 4]], array[[0, 1, 3, 4]])
    mean = array[[1, 3]].astype(float).mean(0)
    assert np.abs(repaired[2] - mean).max() <= 0.5


def test_a_network_and_its_settings(array: NDArray[np.uint8]) -> None:
    settings = tsain.InferenceSettings(device="cpu", tile=64)
    named = tsain.interpolate(array[:2], model="tsain-lite", settings=settings)
    opened = tsain.interpolate(array[:2], model=tsain.open_model("tsain-lite", settings))
    assert np.array_equal(named, opened)


def test_progress_reaches_one_and_its_errors_stop_the_run(array: NDArray[np.uint8]) -> None:
    shares: list[float] = []
    tsain.interpolate(array, model="mean", progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1 and 0 < shares[0] < 1

    class Stop(Exception):
        pass

    def stop(share: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        tsain.interpolate(array, model="mean", progress=stop)


@pytest.mark.parametrize("name", ["finer.tif", "finer.h5", "finer.zarr"])
def test_to_file_is_what_comes_out_in_memory(
    name: str, array: NDArray[np.uint8], stack: Path
) -> None:
    expected = tsain.interpolate(array, factor=2, model="optical-flow")
    shares: list[float] = []
    for source, output in ((stack, name), (tsain.open_volume(stack), f"2-{name}")):
        path = stack.with_name(output)
        written = tsain.interpolate_to_file(
            source, path, factor=2, model="optical-flow", progress=shares.append
        )
        assert np.array_equal(written.data.compute(), expected)
        assert written.synthetic == (1, 3, 5, 7)
        assert shares[-1] == 1
        with pytest.raises(TsainError, match="overwrite"):
            tsain.interpolate_to_file(source, path, factor=2, model="optical-flow")


@pytest.mark.parametrize("name", ["finer.tif", "finer.zarr"])
def test_a_stopped_run_leaves_no_result(name: str, array: NDArray[np.uint8], stack: Path) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    output = stack.with_name(name)
    for source in (stack, array):
        with pytest.raises(KeyboardInterrupt):
            tsain.interpolate_to_file(
                source, output, model="mean", progress=stop, restart=source is array
            )
        assert not output.exists()


def test_an_array_goes_on_unless_it_has_changed(array: NDArray[np.uint8], tmp_path: Path) -> None:
    output = tmp_path / "finer.zarr"

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tsain.interpolate_to_file(array, output, model="mean", progress=stop)
    changed = array.copy()
    changed[-1, -1, -1] += 1
    with pytest.raises(TsainError, match="array has changed.*restart=True"):
        tsain.interpolate_to_file(changed, output, model="mean")
    shares: list[float] = []
    tsain.interpolate_to_file(array, output, model="mean", progress=shares.append)
    assert shares[0] > 0.3, "it goes on where it stopped"
    written = tsain.open_volume(output).data.compute()
    assert np.array_equal(written, tsain.interpolate(array, model="mean"))


def test_evaluate(array: NDArray[np.uint8]) -> None:
    shares: list[float] = []
    opened = tsain.open_model("mean-blur1")
    scores = tsain.evaluate(array, ["mean", opened], every=2, progress=shares.append)
    assert list(scores) == ["mean", "mean-blur1"]
    assert scores["mean"].psnr > 5 and shares[-1] == 1


def test_report(array: NDArray[np.uint8], stack: Path) -> None:
    shares: list[float] = []
    folder = stack.with_name("out")
    found = tsain.report(stack, folder, models=["mean"], at_most=2, progress=shares.append)
    assert found.chosen == "mean" and found.title == "stack.tif" and shares[-1] == 1
    assert {f.name for f in folder.iterdir()} == {"report.html", "report.json", "scores.csv"}
    same = tsain.report(array, models=["mean"], at_most=2, title="stack.tif")
    assert same.to_json()["methods"] == found.to_json()["methods"]
    with pytest.raises(TsainError, match="overwrite=True"):
        tsain.report(stack, folder, models=["mean"])
    for wrong in ({"models": "mean"}, {"models": []}, {"at_most": 0}, {"crop": 3}):
        with pytest.raises(TsainError, match="required"):
            tsain.report(array, **wrong)


def test_finetune_writes_only_what_is_better(tmp_path: Path, stirred_network: TSAIN) -> None:
    source, output = em_phantom((12, 64, 64), seed=5), tmp_path / "mine.safetensors"
    base = tmp_path / "base.safetensors"
    save(base, stirred_network, ModelInfo("base", stirred_network.settings, licence="none"))
    shares: list[float] = []
    options = {"base": base, "minutes": 0.001, "device": "cpu"}
    verdict = tsain.finetune(source, output, progress=shares.append, **options)
    assert output.exists() == verdict.improved
    assert {"before", "after"} <= set(verdict.scores)
    assert 0 < shares[0] < 1 == shares[-1]


def test_sampling_points(array: NDArray[np.uint8]) -> None:
    points = tsain.sampling_points(array, 1.5, 30, 40, model="tsain-lite")
    assert len(points.rsab) == 3 and points.rsab[0].y.shape == (1, 9)
    near = np.hypot(points.y - 30, points.x - 40)
    assert near < 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 17}, "factor is 17"),
        ({"factor": 2, "z_size": 5.0}, "one of them"),
        ({"z_size": 5.0}, "voxel size"),
        ({"voxel_size": (40, 0, 5)}, "40 0 5"),
        ({"voxel_size": (40, float("nan"), 5)}, "40 nan 5"),
        ({"between": (3, 1)}, "3 and 1"),
        ({"replace": [9]}, "9"),
        ({"intensity": (5, 5)}, "intensity range"),
        ({"model": "nonsense"}, "nonsense"),
    ],
)
def test_wrong_arguments_are_explained(
    arguments: dict[str, typing.Any], message: str, array: NDArray[np.uint8]
) -> None:
    with pytest.raises(TsainError, match=message) as raised:
        tsain.interpolate(array, **{"model": "mean", **arguments})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "source", [np.zeros((4, 5)), np.zeros((4, 8, 8)), np.zeros((3, 4, 0), "uint8"), [1, 2]]
)
def test_what_is_no_stack_is_explained(source: typing.Any) -> None:
    with pytest.raises(TsainError, match="The array holds"):
        tsain.interpolate(source, model="mean")


def test_places_that_are_not_computed_are_explained(array: NDArray[np.uint8]) -> None:
    for z, y, x in ((1, 5, 5), (-0.5, 5, 5), (4.5, 5, 5), (1.5, 64, 5), (1.5, 5, -1)):
        with pytest.raises(TsainError):
            tsain.sampling_points(array, z, y, x, model="tsain-lite")
    with pytest.raises(TsainError, match="network"):
        tsain.sampling_points(array, 1.5, 5, 5, model="mean")


def test_settings_of_an_opened_model_are_refused(array: NDArray[np.uint8]) -> None:
    model = tsain.open_model("mean")
    with pytest.raises(TsainError, match="settings"):
        tsain.interpolate(array, model=model, settings=tsain.InferenceSettings())
    with pytest.raises(TsainError, match="safetensors"):
        tsain.finetune(array, "mine.txt")
    with pytest.raises(TsainError, match="minutes"):
        tsain.finetune(array, "mine.safetensors", minutes=0)
