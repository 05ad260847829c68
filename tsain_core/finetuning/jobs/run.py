"""The process of a job: fine-tunes, reports, obeys."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

import numpy as np
import torch

from ...errors import TsainError, first_line
from ...inference.models import choose_device, model_files
from ...model_files.checkpoint import load
from ...system.atomic import replacing
from ...system.folders import own_models_folder
from ...system.memory import keep_freed_memory, resident_memory
from ...system.processes import ProcessId
from ...training import TrainingProgress
from ...volumes import Volume, open_volume
from ..finetune import FinetuneSettings, FineTuningPreview, FineTuningStarted, Verdict, finetune
from ..model_card import outcome_files, write_outcome
from .events import append_event
from .job import Job
from .naming import free_name, taken_names
from .request import JobRequest

logger = logging.getLogger(__name__)

STATE, PREVIEW = "state.pt", "preview.npz"
_EVERY = 1.0  # seconds between two reports of progress
_POLL = 0.2  # seconds between two looks at what it is told while paused


class _Cancelled(Exception):
    pass


def run_job(folder: Path) -> int:
    """Do what the request in `folder` says; returns the exit code.

    Whatever happens, the last event says how it ended, unless the process is killed.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_freed_memory()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    Job(folder).report_process(ProcessId.current())
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
    _obey(job)
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
        stop=lambda: job.told() == "stop",
    ):
        if isinstance(event, FineTuningStarted):
            append_event(job.folder, "begun", steps=event.steps, **asdict(event.blocks))
        elif isinstance(event, FineTuningPreview):
            _write_preview(job.folder / PREVIEW, event)
            append_event(job.folder, "preview", z=event.z)
        elif isinstance(event, Verdict):
            _conclude(job, request, volume, event)
            return
        elif event.step == 0:
            append_event(job.folder, "untuned", validation=event.validation)
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
        # one of that name may have come since the job was made
        request = replace(request, name=free_name(request.name, taken_names()))
        request.write(job.folder)
        write_outcome(job.result, volume, start, base, verdict, request.stack)
        model = str(_give(job.result, own_models_folder()))
    append_event(
        job.folder,
        "verdict",
        improved=verdict.improved,
        sentence=verdict.sentence(),
        scores={name: asdict(s) for name, s in verdict.scores.items()},
        gains={name: asdict(g) for name, g in verdict.gains.items()},
        model=model,
    )


def _give(result: Path, folder: Path) -> Path:
    """Copy a model to a folder, itself last: it is what others look for."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in reversed(outcome_files(result)):
        with replacing(folder / file.name) as partial:
            shutil.copyfile(file, partial)
    return folder / result.name


def _report(folder: Path, progress: TrainingProgress, device: torch.device) -> None:
    cuda = device.type == "cuda"
    memory = torch.cuda.memory_reserved(device) if cuda else resident_memory()
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


def _write_preview(path: Path, preview: FineTuningPreview) -> None:
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, before=preview.before, now=preview.now, truth=preview.truth, z=preview.z)


def _obey(job: Job) -> None:
    """Wait while a pause is wanted, and give up when that is."""
    told = job.told()
    if told == "pause":
        append_event(job.folder, "paused")
        while (told := job.told()) == "pause":
            time.sleep(_POLL)
        append_event(job.folder, "resumed")
    if told == "cancel":
        raise _Cancelled
