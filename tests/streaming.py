"""What tests of streamed runs share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsain_core.interpolate import Finished, interpolate
from tsain_core.streaming import Begun, BlockDone, Done, RunPlan, StreamRequest, stream
from tsain_core.streaming.record import staging

_COMMAND = "import sys; from tsain_core.cli import main; sys.exit(main(sys.argv[1:]))"


def in_memory(asked: StreamRequest, plan: RunPlan) -> NDArray[Any]:
    """What the same plan gives when all of it is computed at once."""
    volume, model = asked.open_volume(), plan.open_model()
    schedule = plan.schedule(volume, model.any_position)
    events = interpolate(volume, schedule, model, plan.intensity)
    return np.stack([e.image for e in events if isinstance(e, Finished)])


def finish(asked: StreamRequest, **options: Any) -> tuple[RunPlan, Done]:
    """Run to the end."""
    begun, *_, done = stream(asked, **options)
    assert isinstance(begun, Begun) and isinstance(done, Done)
    return begun.plan, done


def stop_after(asked: StreamRequest, blocks: int, **options: Any) -> None:
    """Close a run when some blocks are done."""
    events = stream(asked, **options)
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
    return len(list(folder.glob("*/*/*.json")))
