"""Fine-tuning jobs: real processes that are watched, steered, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from support.blockwise import wait_for
from tsain_core.errors import TsainError
from tsain_core.finetuning.jobs import (
    Job,
    JobRequest,
    JobState,
    JobWatch,
    check_name,
    free_name,
    list_jobs,
    make_job,
    name_for,
    start_job,
    watch,
)
from tsain_core.finetuning.jobs.events import append_event, read_events
from tsain_core.inference.models import describe_models, model_card, open_model
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN
from tsain_core.sample_data.phantom import em_phantom


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of one's own for jobs and models; whatever is left at work there is killed."""
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    for job in list_jobs():
        process = job.process()
        if process is not None:
            process.kill()


@pytest.fixture
def request_for(home: Path, tmp_path: Path, stirred_network: TSAIN) -> Callable[..., JobRequest]:
    tifffile.imwrite(tmp_path / "stack.tif", em_phantom((12, 64, 64), seed=1))
    base = tmp_path / "small.safetensors"
    save(base, stirred_network, ModelInfo("small", stirred_network.settings, licence="CC BY"))

    def make(**values: object) -> JobRequest:
        known = {"name": "mine", "source": str(tmp_path / "stack.tif"), "base": str(base)}
        return JobRequest(**(known | {"minutes": 0.1, "device": "cpu"} | values))  # type: ignore[arg-type]

    return make


def kinds(job: Job) -> list[str]:
    return [event["kind"] for event in job.events()[0]]


def steps(job: Job) -> list[int]:
    return [e["step"] for e in job.events()[0] if e["kind"] == "progress"]


def test_from_start_to_model(home: Path, request_for: Callable[..., JobRequest]) -> None:
    job = start_job(request_for())
    assert job.state in (JobState.STARTING, JobState.RUNNING)
    assert list_jobs() == [job]
    wait_for(lambda: job.state.over, "the end")
    assert job.state is JobState.FINISHED, (job.folder / "log.txt").read_text()
    wait_for(lambda: job.process() is None, "the end of the process")
    told = kinds(job)
    assert told[:2] == ["started", "begun"] and told[-2:] == ["verdict", "finished"]
    assert "preview" in told
    progress = [e for e in job.events()[0] if e["kind"] == "progress"]
    assert all(e["memory"] > 1e7 and e["loss"] > 0 for e in progress)
    assert any(e["validation"] is not None for e in progress)
    (untuned,) = (e for e in job.events()[0] if e["kind"] == "untuned")
    assert untuned["validation"] < max(e["validation"] or 0 for e in progress)
    verdict = next(e for e in job.events()[0] if e["kind"] == "verdict")
    assert verdict["improved"] and verdict["sentence"].startswith("Better")
    with np.load(job.folder / "preview.npz") as preview:
        assert preview["now"].shape == preview["before"].shape == preview["truth"].shape
        assert (preview["now"] != preview["before"]).any()
    gain = verdict["gains"]["psnr"]
    assert 0 < gain["low"] < gain["mean"] < gain["high"] and gain["slices"] >= 2
    # at once where models are looked for
    assert "mine" in describe_models()
    assert "Better" in str(model_card("mine"))
    assert open_model("mine").name == "mine"


def pause_resume_stop(job: Job) -> None:
    """Of a job that is at work."""
    wait_for(lambda: len(steps(job)) > 1, "progress")
    job.pause()
    wait_for(lambda: job.state is JobState.PAUSED, "the pause")
    seen = len(kinds(job))
    time.sleep(1.5)
    assert len(kinds(job)) == seen
    job.resume()
    wait_for(lambda: job.state is JobState.RUNNING and len(kinds(job)) > seen + 2, "going on")
    job.stop()
    assert job.state in (JobState.STOPPING, JobState.FINISHED)
    wait_for(lambda: job.state.over, "the end")
    assert job.state is JobState.FINISHED
    assert "verdict" in kinds(job)


def test_pause_at_once_and_later(request_for: Callable[..., JobRequest]) -> None:
    """While libraries are imported nobody listens yet, but the job knows what it was told."""
    job = start_job(request_for(minutes=30))
    assert job.process() is not None and job.state is JobState.STARTING
    job.pause()
    assert job.state is JobState.PAUSING
    with pytest.raises(TsainError, match="at work already"):
        job.start()
    job.resume()
    assert job.state is JobState.STARTING
    assert kinds(job) == ["started"]  # no second process
    job.pause()
    wait_for(lambda: job.state is JobState.PAUSED, "the pause")
    assert kinds(job) == ["started", "paused"]  # before anything was computed
    job.resume()
    assert job.state is not JobState.PAUSED
    pause_resume_stop(job)


def test_cancel_at_once_ends_the_process(
    home: Path, request_for: Callable[..., JobRequest]
) -> None:
    job = start_job(request_for(minutes=30))
    began = time.monotonic()
    job.cancel()
    assert time.monotonic() - began < 5
    assert job.state is JobState.CANCELLED and job.process() is None
    time.sleep(1)
    assert kinds(job) == ["started", "cancelled"]


def test_killed_and_resumed(home: Path, request_for: Callable[..., JobRequest]) -> None:
    """kill -9 is told plainly; the job goes on from its last state, and cancelled keeps nothing."""
    job = start_job(request_for(minutes=1))
    wait_for(lambda: (job.folder / "state.pt").exists(), "a state")
    process = job.process()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: job.process() is None, "its death")
    assert job.state is JobState.FAILED
    assert "killed" in job.problem()
    reached = steps(job)[-1]
    again = Job(job.folder)  # as another program finds it
    again.resume()
    wait_for(lambda: steps(job)[-1] > reached, "going on")
    after = steps(job)[steps(job).index(reached) + 1 :]
    assert after[0] > 1  # not from the beginning
    assert kinds(job).count("begun") == 2
    begun = [e["steps"] for e in job.events()[0] if e["kind"] == "begun"]
    assert begun[0] == begun[1]
    job.cancel()
    assert job.state is JobState.CANCELLED
    assert job.process() is None
    assert not list(home.glob("models/*"))


def test_failures_are_one_readable_line(request_for: Callable[..., JobRequest]) -> None:
    failures = {
        "stack.tif": {"source": "/nowhere/stack.tif"},
        "No model file": {"base": "/nowhere/model.safetensors"},
        "quantum": {"device": "quantum"},
    }
    jobs = {message: start_job(request_for(**values)) for message, values in failures.items()}
    wait_for(lambda: all(job.state.over for job in jobs.values()), "the end of all")
    for message, job in jobs.items():
        assert job.state is JobState.FAILED
        assert message in job.problem()
        assert "\n" not in job.problem()
        assert "Traceback" in (job.folder / "log.txt").read_text()


def test_wrong_requests(home: Path, tmp_path: Path) -> None:
    with pytest.raises(TsainError, match="no name for a model"):
        start_job(JobRequest(name="../evil", source="x"))
    (tmp_path / "request.json").write_text("{}")
    with pytest.raises(TsainError, match="no job"):
        JobRequest.read(tmp_path)
    assert list_jobs() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "/"}, "no name for a model"),
        ({"name": "../../x"}, "no name for a model"),
        ({"name": None}, "name is None; text is required"),
        ({"minutes": "20"}, "minutes is '20'; a number"),
        ({"minutes": float("nan")}, "minutes is nan"),
        ({"minutes": 0}, "0 minutes; it must be positive"),
        ({"seed": -1}, "The seed is -1"),
        ({"seed": 1.5}, "seed is 1.5; a whole number"),
        ({"colour": 1}, "unknown entry 'colour'"),
    ],
)
def test_damaged_requests_name_the_field(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    values = {"name": "mine", "source": "stack.tif", "minutes": 20}  # as earlier versions wrote it
    (tmp_path / "request.json").write_text(json.dumps(values))
    assert JobRequest.read(tmp_path) == JobRequest("mine", "stack.tif")
    (tmp_path / "request.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(TsainError, match="no job that can be understood") as caught:
        JobRequest.read(tmp_path)
    assert words in str(caught.value) and str(caught.value).isprintable()


def test_a_model_is_never_replaced_and_names_its_stack(
    home: Path, request_for: Callable[..., JobRequest]
) -> None:
    """The name was free when the job began, and is not when it ends."""
    own = home / "models"
    own.mkdir(parents=True)
    (own / "mine.safetensors").write_bytes(b"another's")
    job = start_job(request_for(stack="Cell 3\n`raw`"))
    wait_for(lambda: job.state.over, "the end")
    assert job.state is JobState.FINISHED, (job.folder / "log.txt").read_text()
    assert (own / "mine.safetensors").read_bytes() == b"another's"
    model = open_model("mine-2")
    assert model.name == job.request.name == "mine-2"
    assert model.info.training["finetuned_on"] == "Cell 3 'raw'"
    assert "fine-tuned on `Cell 3 'raw'`" in str(model_card("mine-2"))
    assert sorted(p.name for p in own.iterdir()) == [
        "mine-2.md",
        "mine-2.png",
        "mine-2.safetensors",
        "mine.safetensors",
    ]


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", ".x", "mean", "auto", "tsain-lite", "x."])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(TsainError):
        check_name(name)


def test_names_for_stacks() -> None:
    for stack in ("stack", "Cell 3 [raw].tif", "神経", "a/b\\c", "x" * 500, "..", "", "\n"):
        name = name_for("tsain-lite", stack)
        check_name(name)
        assert name.startswith("tsain-lite-")
    assert name_for("tsain-lite", "Cell 3 [raw]") == "tsain-lite-Cell-3-raw"
    assert free_name("a", {"a", "a-2"}) == "a-3"
    with pytest.raises(TsainError, match="at most"):
        check_name("x" * 244)


def test_a_folder_that_cannot_be_written_is_one_line(
    home: Path, request_for: Callable[..., JobRequest]
) -> None:
    home.write_text("a file where a folder should be")
    with pytest.raises(TsainError, match="TSAIN_HOME"):
        make_job(request_for())


def test_watching_reads_only_what_is_new(
    request_for: Callable[..., JobRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    done, open_one = make_job(request_for()), make_job(request_for(name="other"))
    for kind in ("started", "begun", "finished"):
        append_event(done.folder, kind)
    append_event(open_one.folder, "started")
    starts: dict[Path, list[int]] = {}

    def counted(folder: Path, start: int = 0) -> object:
        starts.setdefault(folder, []).append(start)
        return read_events(folder, start)

    monkeypatch.setattr(watch, "read_events", counted)
    jobs = JobWatch()
    for _ in range(3):
        states = {view.job: view.state for view in jobs.look()}
        assert states == {done: JobState.FINISHED, open_one: JobState.STARTING}
    size = (open_one.folder / "events.jsonl").stat().st_size
    assert starts == {done.folder: [0], open_one.folder: [0, size, size]}
    append_event(open_one.folder, "failed", message="x")
    append_event(done.folder, "started")  # resumed
    states = {view.job: view.state for view in jobs.look()}
    assert states == {done: JobState.STARTING, open_one: JobState.FAILED}
    for view in jobs.look():
        assert view.state is view.job.state and view.request == view.job.request
    (done.folder / "request.json").unlink()
    assert [view.job for view in jobs.look()] == [open_one]


def test_events_after_a_cut_line_are_not_lost(tmp_path: Path) -> None:
    with (tmp_path / "events.jsonl").open("w") as file:
        file.write('{"kind": "paused", "time": 1.0}\n[1]\n{"kind": "failed"}\n{"kind": "prog')
    append_event(tmp_path, "started")
    assert [e["kind"] for e in read_events(tmp_path)[0]] == ["paused", "started"]


def test_events_survive_a_cut(tmp_path: Path) -> None:
    assert read_events(tmp_path) == ([], 0)
    append_event(tmp_path, "begun", steps=3, stop=[7, 9])
    first, at = read_events(tmp_path)
    assert [e["kind"] for e in first] == ["begun"]
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"kind": "prog')  # killed in the middle of a line
    assert read_events(tmp_path, at) == ([], at)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write("\n")
    append_event(tmp_path, "failed", message="no memory")
    later, _ = read_events(tmp_path, at)
    assert [e["kind"] for e in later] == ["failed"]


def test_damaged_models_of_ones_own_hide_no_others(home: Path) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / "broken.safetensors").write_bytes(b"nonsense")
    (home / "models" / "tsain-lite.safetensors").write_bytes(b"nonsense")
    known = describe_models()
    assert "broken" not in known
    assert known["tsain-lite"] is not None


def test_damaged_job_does_not_hide_the_others(request_for: Callable[..., JobRequest]) -> None:
    job = make_job(request_for(minutes=1))
    damaged = make_job(request_for(minutes=1))
    (damaged.folder / "request.json").write_text("")
    assert [j.folder for j in list_jobs()] == [job.folder]
