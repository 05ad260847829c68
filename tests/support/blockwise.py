"""What tests of blockwise runs share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from tsain_core.blockwise import (
    BlockDone,
    InterpolationRequest,
    RunFinished,
    RunPlan,
    RunPolicy,
    RunStarted,
    interpolate_blockwise,
)
from tsain_core.blockwise.run_store import staging
from tsain_core.interpolation.interpolate import SliceReady, interpolate
from tsain_core.sample_data.phantom import em_phantom
from tsain_core.volumes.zarr_layout import ZarrLayout, default_version

_COMMAND = "import sys; from tsain_core.cli import main; sys.exit(main(sys.argv[1:]))"


def in_memory(spec: InterpolationRequest, plan: RunPlan) -> NDArray[Any]:
    """What the same plan gives when all of it is computed at once."""
    volume, model = spec.open_volume(), plan.open_model()
    schedule = plan.schedule(volume)
    events = interpolate(volume, schedule, model, plan.intensity)
    return np.stack([e.image for e in events if isinstance(e, SliceReady)])


def finish(spec: InterpolationRequest, **policy: Any) -> tuple[RunPlan, RunFinished]:
    """Run to the end."""
    begun, *_, done = interpolate_blockwise(replace(spec, policy=RunPolicy(**policy)))
    assert isinstance(begun, RunStarted) and isinstance(done, RunFinished)
    return begun.plan, done


def stop_after(spec: InterpolationRequest, blocks: int) -> None:
    """Close a run when some blocks are done."""
    events = interpolate_blockwise(spec)
    for event in events:
        blocks -= isinstance(event, BlockDone)
        if blocks == 0:
            break
    events.close()


def files(root: Path, *below: str) -> dict[str, bytes]:
    """Name -> content of all files in a folder."""
    folder = root.joinpath(*below)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def start(*words: str | Path, **environment: str) -> subprocess.Popen[str]:
    """The `tsain` command, in a process of its own."""
    return launch("-c", _COMMAND, *words, **environment)


def serve(*words: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Python that runs until it is killed; what it says is not kept."""
    return launch(*words, output=subprocess.DEVNULL, **environment)


def launch(
    *words: str | Path, output: int = subprocess.PIPE, **environment: str
) -> subprocess.Popen[str]:
    """Python, in a process and a group of its own."""
    return subprocess.Popen(
        [sys.executable, *(str(w) for w in words)],
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
        # a shell starts background jobs, say a whole test run, with Ctrl-C ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 120) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def marks(output: Path) -> int:
    """How many blocks of an unfinished run are done."""
    folder = Path(str(staging(output))) / ".tsain-run" / "done"
    return len(list(folder.glob("*/*/[0-9]*.json")))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small stack whose chunks are several slices deep, and no divisor of anything."""
    return _write_stack(tmp_path_factory.mktemp("stack") / "stack.zarr", 7, 136, 200)


def _write_stack(path: Path, depth: int, height: int, width: int) -> Path:
    data = em_phantom((depth, height, width), seed=3)
    chunks = (3, height // 2 + 2, width * 9 // 20)
    array = zarr.open_array(str(path), mode="w", shape=data.shape, chunks=chunks, dtype="u1")
    array[:] = data
    array.attrs["voxel_size"] = [40, 5, 5]
    return path


@pytest.fixture
def shallow_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many blocks, also in a small stack of deep chunks."""
    monkeypatch.setattr("tsain_core.blockwise.blocks._DEEPEST", 4)


@pytest.fixture
def spec(stack: Path, tmp_path: Path) -> InterpolationRequest:
    layout = ZarrLayout(default_version(), (1, 64, 64))
    return InterpolationRequest(str(stack), str(tmp_path / "out.zarr"), model="mean", layout=layout)


@pytest.fixture(scope="session")
def narrow_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sixth of the voxels of `stack`, for networks."""
    return _write_stack(tmp_path_factory.mktemp("narrow") / "stack.zarr", 5, 68, 90)


@pytest.fixture
def narrow(spec: InterpolationRequest, narrow_stack: Path) -> InterpolationRequest:
    """The narrow stack, in chunks that are as much smaller."""
    layout = ZarrLayout(default_version(), (1, 32, 32))
    return replace(spec, source=str(narrow_stack), layout=layout)


def cut_small(monkeypatch: pytest.MonkeyPatch, side: int = 128) -> None:
    """Blocks of parts of slices, a few slices deep, as large volumes have them."""
    monkeypatch.setattr("tsain_core.blockwise.blocks._VOXELS", 4 * side * side)

    def parts(*arguments: Any) -> int:
        region = arguments[0]
        return 1 if max(region.shape) <= side else 1 << 60

    monkeypatch.setattr("tsain_core.blockwise.planning.bytes_for", parts)
