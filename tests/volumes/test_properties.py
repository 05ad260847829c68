"""Whatever files, metadata and arguments hold: a value, or an error of one line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from napari_tsain.layers.provenance import layer_marks
from support.hostile_values import JSON, PATIENT, damaged
from tsain_core.blockwise import InterpolationRequest, make_plan
from tsain_core.blockwise.run_store import FOLDER, RunStore
from tsain_core.cli.main import main
from tsain_core.errors import TsainError
from tsain_core.finetuning.jobs import Job, JobRequest, JobState
from tsain_core.finetuning.jobs.request import REQUEST
from tsain_core.inference.models import shipped_models
from tsain_core.interpolation.schedule import parse_slices
from tsain_core.model_files.checkpoint import ModelInfo, read_info
from tsain_core.system.resources import weights_folder
from tsain_core.training.recipe import read_recipe
from tsain_core.volumes import create_volume, open_volume

pytestmark = pytest.mark.properties
MARKS = {
    "synthetic_slices": [1],
    "provenance": {"model": "mean", "factor": 2},
    "source": "stack.tif",
    "dataset": "raw",
    "format": "tiff",
    "source_layer": "stack",
    "source_index": [0],
    "start": "0",
    "step": "1/2",
    "parents": {"1": [0, 1, "1/2"]},
    "digests": {"1": "0123456789abcdef"},
    "computed": 3,
    "depth": 3,
    "z_axis": 0,
}


def one_line(action: Any, *values: Any) -> Any:
    """The result of a call, None where it refuses in one line; any other error is a fault."""
    try:
        return action(*values)
    except TsainError as error:
        assert str(error).strip() and "\n" not in str(error) and "\x1b" not in str(error)
        return None


@given(text=st.text(alphabet="0123456789-, x\x00\u0661", max_size=30))
@PATIENT
def test_slice_numbers(text: str) -> None:
    numbers = one_line(parse_slices, text)
    assert numbers is None or numbers == tuple(sorted(set(numbers)))


@given(values=damaged(JobRequest("mine", "/data/stack.tif").to_json()))
@example(values=JobRequest("mine", "/data/stack.tif").to_json() | {"name": "../../x"})
@PATIENT
def test_requests_of_jobs(tmp_path: Path, values: Any) -> None:
    (tmp_path / REQUEST).write_text(json.dumps(values))
    request = one_line(JobRequest.read, tmp_path)
    assert request is None or "/" not in request.name
    if request is not None:
        assert Job(tmp_path).result.parent == tmp_path


@given(
    lines=st.lists(
        damaged({"kind": "started", "time": 1.0}) | damaged({"kind": "failed", "message": "m"}),
        max_size=4,
    ),
    process=st.sampled_from(["", "1", "0 0", "-1 5", "999999999999999999999 1", "1 nan", "x y"]),
)
@PATIENT
def test_folders_of_jobs(tmp_path: Path, lines: list[Any], process: str) -> None:
    JobRequest("mine", "/data/stack.tif").write(tmp_path)
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "process").write_text(process)
    job = Job(tmp_path)
    assert isinstance(job.state, JobState)
    assert isinstance(job.problem(), str)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("plan")
    tifffile.imwrite(
        folder / "stack.tif", np.zeros((4, 32, 32), np.uint8), photometric="minisblack"
    )
    request = InterpolationRequest(str(folder / "stack.tif"), str(folder / "o.zarr"), model="mean")
    return make_plan(request).to_json()


@given(data=st.data())
@PATIENT
def test_records_of_runs(tmp_path: Path, plan: dict[str, Any], data: st.DataObject) -> None:
    (tmp_path / FOLDER).mkdir(exist_ok=True)
    (tmp_path / FOLDER / "plan.json").write_text(json.dumps(data.draw(damaged(plan))))
    one_line(RunStore(tmp_path).plan)


@pytest.fixture(scope="module")
def model_header() -> dict[str, Any]:
    header = read_info(shipped_models()["tsain-lite"]).to_json()
    del header["weights_hash"]
    return {**header, "version": 1}


@given(data=st.data())
@PATIENT
def test_headers_of_models(
    tmp_path: Path, model_header: dict[str, Any], data: st.DataObject
) -> None:
    header = json.dumps(data.draw(damaged(model_header)))
    path = tmp_path / "model.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, path, metadata={"tsain": header})
    info = one_line(read_info, path)
    assert info is None or isinstance(info, ModelInfo)


@given(data=st.data())
@PATIENT
def test_recipes(tmp_path: Path, data: st.DataObject) -> None:
    text = (weights_folder() / "tsain-lite.toml").read_text()
    lines = text.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        key = lines[at].partition("=")[0]
        value = json.dumps(data.draw(JSON), default=str)
        lines[at] = data.draw(st.sampled_from([f"{key} = {value}", key, "", f"[{key}]"]))
    path = tmp_path / "recipe.toml"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    one_line(read_recipe, path)


@given(marks=damaged(MARKS))
@PATIENT
def test_metadata_of_layers(marks: Any) -> None:
    """A layer's metadata may come from any plugin: marks that make no sense are no marks."""
    layer = SimpleNamespace(
        metadata={"tsain": marks},
        data=np.zeros((3, 8, 8), np.uint8),
        ndim=3,
        multiscale=False,
        name="layer",
    )
    found = layer_marks(layer)
    assert all(0 <= z < 3 for z in found.synthetic)


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What our HDF5 files say of their slices, as text."""
    path = tmp_path_factory.mktemp("ours") / "ours.h5"
    with create_volume(
        path, (3, 16, 16), np.uint8, voxel_size=(40, 4, 4), unit="nm", synthetic=(1,)
    ) as writer:
        for z in range(3):
            writer.write(z, np.full((16, 16), z, np.uint8))
    with h5py.File(path) as file:
        found: list[Any] = []
        file.visititems(lambda _, item: found.append(dict(item.attrs)))
    return next(f for f in found if f)


@given(data=st.data())
@PATIENT
def test_attributes_of_files(attributes: dict[str, Any], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ours.h5"
        with h5py.File(path, "w") as file:
            raw = file.create_dataset("raw", data=np.zeros((3, 16, 16), np.uint8))
            for name, value in attributes.items():
                raw.attrs[name] = value
            name = data.draw(st.sampled_from(sorted(attributes)))
            old = attributes[name]
            if isinstance(old, str) and old[:1] in "[{":
                raw.attrs[name] = json.dumps(data.draw(damaged(json.loads(old))))
            else:
                new = data.draw(JSON)
                raw.attrs[name] = new if isinstance(new, (bool, float)) else json.dumps(new)
        volume = one_line(open_volume, path)
        if volume is not None:
            assert all(0 <= z < 3 for z in volume.synthetic)
            assert volume[0].shape == (16, 16)


COMMANDS = ["info", "interpolate", "plan", "evaluate", "inspect", "finetune", "models", "train"]
WORDS = st.sampled_from(
    [
        *("--factor", "--z-size", "--between", "--replace", "--model", "--z-range", "--region"),
        *("--output", "--voxel-size", "--unit", "--axes", "--dataset", "--threads", "--memory"),
        *("--workers", "--tile", "--halo", "--detail", "--ensemble", "--every", "--json"),
        *("0", "1", "2", "-1", "3.5", "nan", "inf", "1e400", "4KiB", "1-99999999999", "zyx"),
        *(
            "stack.tif",
            "nothing.tif",
            "out/x.tif",
            "mean",
            "",
            "--",
            "\x1b[2J",
            "a" * 300,
            "\ud800",
        ),
    ]
)


@given(command=st.sampled_from(COMMANDS), words=st.lists(WORDS, max_size=7))
@PATIENT
def test_command_lines(
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    words: list[str],
) -> None:
    """An exit code, and nothing written outside the folder it runs in."""
    folder = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(folder)
    tifffile.imwrite("stack.tif", np.zeros((4, 16, 16), np.uint8), photometric="minisblack")
    quick = ["--model", "mean"] if command in ("interpolate", "plan", "evaluate") else []
    try:
        code = main([command, *words, *quick])
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 2
    assert code in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err
    assert {path.name for path in folder.parent.iterdir()} >= {folder.name}
