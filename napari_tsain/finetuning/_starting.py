"""Before a job begins: what would stop it in the end is noticed, and the volume is handed over."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from tsain_core.errors import TsainError
from tsain_core.finetuning.finetune import FinetuneSettings, fitting_crop, split_blocks
from tsain_core.finetuning.jobs import Job, JobRequest, check_name, copy_input, make_job
from tsain_core.finetuning.model_card import check_writable
from tsain_core.interpolation.estimate import format_bytes
from tsain_core.system.folders import jobs_folder, own_models_folder
from tsain_core.volumes import Volume

_LARGEST_COPY = 4 << 30  # bytes of a volume that are copied into a job's folder


def check_start(volume: Volume, name: str, multiple: int, taken: set[str]) -> None:
    """Refuse a job that could not end well.

    Parameters
    ----------
    volume : Volume
    name : str
        Of the new model.
    multiple : int
        Of which the network needs the sides of crops to be.
    taken : set of str
        Names that other models have, or will have.

    Raises
    ------
    TsainError
        If the volume is too thin or too small, the name is none or taken, a folder cannot be
        written to, or the disk is too full for the copy of the volume.
    """
    split_blocks(volume.shape[0], FinetuneSettings.held_out)
    fitting_crop(volume.shape, FinetuneSettings.crop, multiple)
    check_name(name)
    if name in taken:
        raise TsainError(f"A model {name!r} exists already; choose another name.")
    for folder in (jobs_folder(), own_models_folder()):
        check_writable(folder)
    if not _stays_in_file(volume):
        free = shutil.disk_usage(_existing(jobs_folder())).free
        if volume.data.nbytes > free:
            raise TsainError(
                f"A copy of the stack takes {format_bytes(volume.data.nbytes)}, and "
                f"{format_bytes(free)} are free in {jobs_folder()}; free some, or set TSAIN_HOME "
                "to a folder on another disk."
            )


def begin(request: JobRequest, volume: Volume) -> Generator[int, None, Job]:
    """Make the job, give it the volume, start it; yields the slices copied so far.

    A job that could not be started leaves nothing behind.
    """
    in_file = _stays_in_file(volume)
    job = make_job(replace(request, dataset=volume.dataset) if in_file else request)
    try:
        if not in_file:
            yield from copy_input(job, volume)
        job.start()
    except BaseException:
        shutil.rmtree(job.folder, ignore_errors=True)
        raise
    return job


def _stays_in_file(volume: Volume) -> bool:
    """Whether the job reads the volume where it is."""
    in_file = bool(volume.source) and Path(volume.source).exists()
    return in_file and volume.data.nbytes > _LARGEST_COPY


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
