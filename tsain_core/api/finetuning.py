"""Tuning a network to a stack."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import TsainError
from ..finetuning.finetune import FinetuneSettings, FineTuningStarted, Verdict
from ..finetuning.finetune import finetune as train_on
from ..finetuning.model_card import check_outcome, write_outcome
from ..inference.models import choose_device, model_files
from ..model_files.checkpoint import load
from ..system.memory import keeping_freed_memory
from ..training import TrainingProgress
from .arguments import OnProgress, Source, as_volume


def finetune(
    source: Source,
    output: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] = "tsain-lite",
    minutes: float = FinetuneSettings.minutes,
    device: str = "auto",
    seed: int = 0,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> Verdict:
    """Tune a network to a stack; it is written only if it became better.

    Parameters
    ----------
    source : path, Volume or array-like (z, y, x)
        At least nine slices, some of which are held out to judge by.
    output : path
        Model file to write, .safetensors.
    base : str or path
        Model to start from.
    minutes : float
        Time for learning; it ends earlier when it no longer gains.
    device : str
        auto, cpu, cuda or mps.
    seed : int
    overwrite : bool
        Replace an existing model file.
    progress : callable, optional
        Called with the share of the steps that is done, 0 to 1.

    Returns
    -------
    Verdict
        `improved` says whether the file was written, `scores` by how much.

    Raises
    ------
    TsainError
        If the stack is too thin or too small, or the output cannot be written or exists.

    Examples
    --------
    >>> verdict = tsain.finetune("stack.tif", "mine.safetensors", minutes=60)
    >>> print(verdict.sentence())
    """
    path = Path(output)
    check_outcome(path, overwrite)
    if not minutes > 0:
        raise TsainError(f"minutes is {minutes:g}; a positive number is needed.")
    volume = as_volume(source)
    start, info = load(model_files().get(os.fspath(base), Path(base)))
    settings = FinetuneSettings(minutes=minutes, seed=seed)
    steps, verdict = 1, None
    with keeping_freed_memory():
        for event in train_on(volume, start, info, settings, choose_device(device)):
            if isinstance(event, FineTuningStarted):
                steps = event.steps
            elif isinstance(event, Verdict):
                verdict = event
            elif isinstance(event, TrainingProgress) and event.step and progress is not None:
                progress(min(1.0, event.step / steps))
    assert verdict is not None
    if verdict.improved:
        write_outcome(path, volume, start, info, verdict)
    if progress is not None:
        progress(1.0)
    return verdict
