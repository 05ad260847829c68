"""The process of a job: fine-tunes, reports, obeys."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import numpy as np
import psutil
import torch

from .._places import own_models_folder
from ..checkpoint import load
from ..errors import TsainError, first_line
from ..models import choose_device, model_files
from ..training import Progress
from ..training.finetune import Begun, FinetuneSettings, Preview, Verdict, finetune
from ..training.outcome import write_outcome
from ..volumes import Volume, open_volume
from .events import append_event
from .job import PROCESS, Job
from .request import JobRequest

logger = logging.getLogger(__name__)

STATE, PREVIEW = "state.pt", "preview.npz"
_EVERY = 1.0  # seconds between two reports of progress
_POLL = 0.2  # seconds between two looks at the wishes while paused


class _Cancelled(Exception):
    pass


def run_job(folder: Path) -> int:
    """Do what the request in `folder` says; returns the exit code.

    Whatever happens, the last event says how it ended, unless the process is killed.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    me = psutil.Process()
    (folder / PROCESS).write_text(f"{me.pid} {me.create_time()}", encoding="utf-8")
    signal.signal(signal.SIGTERM, _cancel)
    try:
        _work(Job(folder))
        append_event(folder, "finished")
        return 0
    except (_Cancelled, KeyboardInterrupt):
        append_event(folder, "cancelled")
        return 130
    except Exception as error:
        logger.exception("The job failed")
        append_event(folder, "failed", message=_explain(error))
        return 1


def _cancel(signum: int, frame: FrameType | None) -> None:
    raise _Cancelled


def _explain(error: Exception) -> str:
    """One line for people."""
    if isinstance(error, TsainError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return "Memory of the device does not suffice: close other programs or take a smaller base."
    return f"{type(error).__name__}: {first_line(error)}"


def _work(job: Job) -> None:
    request = job.request
    volume = open_volume(request.source, dataset=request.dataset)
    start, base = load(model_files().get(request.base, Path(request.base)))
    device = choose_device(request.device)
    settings = FinetuneSettings(minutes=request.minutes, seed=request.seed)
    last = 0.0
    for event in finetune(
        volume,
        start,
        base,
        settings,
        device,
        state=job.folder / STATE,
        stop=lambda: job.wished() == "stop",
    ):
        if isinstance(event, Begun):
            append_event(job.folder, "begun", steps=event.steps, **asdict(event.blocks))
        elif isinstance(event, Preview):
            _write_preview(job.folder / PREVIEW, event)
            append_event(job.folder, "preview", z=event.z)
        elif isinstance(event, Verdict):
            _conclude(job, request, volume, event)
            return
        else:
            now = time.monotonic()
            if event.validation is not None or event.note or now - last > _EVERY:
                last = now
                _report(job.folder, event, device)
            _obey(job)


def _conclude(job: Job, request: JobRequest, volume: Volume, verdict: Verdict) -> None:
    """Write what came of it, and put a better model where the docks find it."""
    start, base = load(model_files().get(request.base, Path(request.base)))
    model = None
    if verdict.improved:
        write_outcome(job.result, volume, start, base, verdict)
        folder = own_models_folder()
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in (".md", ".png", ".safetensors"):  # the model last: it is what is looked for
            shutil.copyfile(job.result.with_suffix(suffix), folder / (request.name + suffix))
        model = str(folder / job.result.name)
    scores = {name: asdict(s) for name, s in verdict.scores.items()}
    append_event(
        job.folder,
        "verdict",
        improved=verdict.improved,
        sentence=verdict.sentence(),
        scores=scores,
        model=model,
    )


def _report(folder: Path, progress: Progress, device: torch.device) -> None:
    if device.type == "cuda":
        memory = torch.cuda.memory_reserved(device)
    else:
        memory = psutil.Process().memory_info().rss
    append_event(
        folder,
        "progress",
        step=progress.step,
        steps=progress.steps,
        loss=progress.loss if np.isfinite(progress.loss) else None,
        validation=progress.validation,
        seconds=progress.seconds,
        memory=memory,
        note=progress.note,
    )


def _write_preview(path: Path, preview: Preview) -> None:
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        np.savez(file, before=preview.before, now=preview.now, truth=preview.truth, z=preview.z)
    partial.replace(path)


def _obey(job: Job) -> None:
    """Wait while a pause is asked for, and give up when that is."""
    wish = job.wished()
    if wish == "pause":
        append_event(job.folder, "paused")
        while (wish := job.wished()) == "pause":
            time.sleep(_POLL)
        append_event(job.folder, "resumed")
    if wish == "cancel":
        raise _Cancelled
