"""Streamed runs on Dask: real clusters of processes, which are killed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tifffile

from support.blockwise import files, finish, marks, serve, start, wait_for
from support.forked import Forked
from tsain_core.blockwise import Cluster, InterpolationRequest, interpolate_blockwise
from tsain_core.cli.as_command import as_command
from tsain_core.errors import TsainError
from tsain_core.inference.models import InferenceSettings
from tsain_core.interpolation.selection import SliceSelection
from tsain_core.model_files.checkpoint import ModelInfo, save
from tsain_core.network import TSAIN
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.volumes.zarr_layout import ZarrLayout, default_version

pytestmark = pytest.mark.slow
pytest.importorskip("distributed", reason="Dask's distributed is not installed")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, stirred_network: TSAIN) -> InterpolationRequest:
    """A run of a dozen blocks, of which each takes a moment."""
    folder = tmp_path_factory.mktemp("cluster")
    tifffile.imwrite(folder / "stack.tif", em_phantom((12, 160, 160), seed=5))
    info = ModelInfo("stirred", stirred_network.settings)
    save(folder / "stirred.safetensors", stirred_network, info)
    return InterpolationRequest(
        str(folder / "stack.tif"),
        str(folder / "one-process.zarr"),
        selection=SliceSelection(factor=2),
        model=str(folder / "stirred.safetensors"),
        inference=InferenceSettings("cpu", tile=64, halo=24),
        layout=ZarrLayout(default_version(), (1, 64, 64)),
        threads=1,
    )


@pytest.fixture(scope="module")
def expected(spec: InterpolationRequest) -> dict[str, bytes]:
    """Files of what one process makes."""
    finish(spec)
    return files(Path(spec.output), "0")


def words(spec: InterpolationRequest, **changes: Any) -> list[str]:
    """The command that does the same."""
    return shlex.split(as_command(replace(spec, **changes)))[1:]


@pytest.fixture(scope="module")
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of the cluster, which are killed at the end."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def scheduler(
    tmp_path_factory: pytest.TempPathFactory, started: list[subprocess.Popen[str]]
) -> str:
    """File that says where a scheduler is."""
    place = str(tmp_path_factory.mktemp("scheduler") / "scheduler.json")
    options = ("--port", "0", "--no-dashboard", "--scheduler-file", place)
    started.append(serve("-m", "dask", "scheduler", *options))
    wait_for(lambda: os.path.exists(place), "the scheduler")
    return place


@pytest.fixture
def cluster(
    scheduler: str, started: list[subprocess.Popen[str]]
) -> tuple[str, list[subprocess.Popen[str]]]:
    """A scheduler and two workers, started by hand: (scheduler file, workers).

    Workers serve all tests; one that a test killed is replaced.
    """
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
    words = ("-m", "dask", "worker", "--scheduler-file", scheduler, *options)
    alive = [process for process in started[1:] if process.poll() is None]
    missing = [serve(*words, OMP_NUM_THREADS="1") for _ in range(2 - len(alive))]
    started.extend(missing)
    return scheduler, alive + missing


def test_two_local_workers(
    spec: InterpolationRequest, expected: dict[str, bytes], tmp_path: Path
) -> None:
    spec = replace(spec, output=str(tmp_path / "out.zarr"))
    events = list(interpolate_blockwise(replace(spec, cluster=Cluster(workers=2))))
    assert files(Path(spec.output), "0") == expected
    workers = {e.report["worker"] for e in events if hasattr(e, "report")}
    assert len(workers) == 2


def test_a_worker_is_killed(
    spec: InterpolationRequest,
    expected: dict[str, bytes],
    tmp_path: Path,
    cluster: tuple[str, list[subprocess.Popen[str]]],
) -> None:
    """One of two workers dies of kill -9 in mid-run; the other finishes, the result is the same."""
    place, workers = cluster
    out = tmp_path / "out.zarr"
    client = Forked(*words(spec, output=str(out), cluster=Cluster(address=place)))
    wait_for(lambda: marks(out) >= 3, "blocks")
    os.kill(workers[0].pid, signal.SIGKILL)
    text = "".join(client.communicate(timeout=240))
    assert client.returncode == 0, text
    assert files(out, "0") == expected


def test_the_client_is_killed(
    spec: InterpolationRequest,
    expected: dict[str, bytes],
    tmp_path: Path,
    cluster: tuple[str, list[subprocess.Popen[str]]],
) -> None:
    """The same command goes on; at most the blocks in flight are made again."""
    place, _ = cluster
    out = tmp_path / "out.zarr"
    command = words(spec, output=str(out), cluster=Cluster(address=place))
    client = Forked(*command)
    wait_for(lambda: marks(out) >= 3, "blocks")
    os.kill(client.pid, signal.SIGKILL)
    client.communicate()
    assert not out.exists()
    again = Forked(*command)
    text = "".join(again.communicate(timeout=240))
    assert again.returncode == 0, text
    done = int(text.split("Going on: ")[1].split()[0])
    total = int(text.split("Going on: ")[1].split()[2])
    made = int(text.split("is complete: ")[1].split()[0])
    assert done >= 3 and made == total - done
    assert files(out, "0") == expected


def test_local_cluster_dies_with_its_client(spec: InterpolationRequest, tmp_path: Path) -> None:
    import psutil

    out = tmp_path / "out.zarr"
    client = start(*words(spec, output=str(out), cluster=Cluster(2)))
    wait_for(lambda: marks(out) >= 3, "blocks")
    children = psutil.Process(client.pid).children(recursive=True)
    assert len(children) >= 2
    os.kill(client.pid, signal.SIGKILL)
    client.communicate()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def test_what_cannot_be(
    spec: InterpolationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tsain_core.blockwise.executors._CONNECT", 1.0)
    spec = replace(spec, output=str(tmp_path / "out.zarr"))
    with pytest.raises(TsainError, match="cannot be reached"):
        list(interpolate_blockwise(replace(spec, cluster=Cluster(address="tcp://127.0.0.1:9"))))
    client = start(*words(spec, cluster=Cluster(2)), "--dask", "tcp://127.0.0.1:9")
    text: Any = client.communicate()[0]
    assert client.returncode == 1 and "give one of them" in text
