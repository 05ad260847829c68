"""Interpolating a stack, in memory or to a file."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..blockwise import BlockwiseRequest, Given, RunProgress, interpolate_blockwise
from ..errors import TsainError
from ..inference.intensity import IntensityRange
from ..inference.models import InferenceSettings, SliceModel
from ..interpolation.interpolate import SliceReady, TileProgress
from ..interpolation.interpolate import interpolate as run_schedule
from ..interpolation.schedule import Schedule
from ..interpolation.selection import SliceSelection
from ..interpolation.to_file import interpolate_to_file as write_schedule
from ..volumes import Volume, open_volume
from ..volumes.volume import Triple
from .arguments import (
    Model,
    OnProgress,
    Source,
    as_model,
    as_volume,
    is_path,
    model_for,
    name_for,
)


def interpolate(
    source: Source,
    *,
    factor: int | None = None,
    z_size: float | None = None,
    replace: Iterable[int] = (),
    between: tuple[int, int] | None = None,
    model: Model = "auto",
    settings: InferenceSettings | None = None,
    intensity: tuple[float, float] | None = None,
    voxel_size: Triple | None = None,
    unit: str | None = None,
    progress: OnProgress | None = None,
) -> NDArray[Any]:
    """Compute the slices that are missing in a stack, in memory.

    Parameters
    ----------
    source : path, Volume or array-like (z, y, x)
        uint8, uint16, int16 or float32.
    factor : int, optional
        2 to 16 times as many slices; 2 by default.
    z_size : float, optional
        Or the z voxel size of the result, in the unit of the stack.
    replace : iterable of int
        Damaged slices, counted from 0, to recompute from their neighbours; alone or together with
        `factor` or `z_size`.
    between : (int, int), optional
        Only the slices from one to the other, made finer by `factor`.
    model : str, path or SliceModel
        A name from `tsain models`, a model file, or an opened model; "auto" takes the best for the
        stack, by a check on some of its slices.
    settings : InferenceSettings, optional
        Device, precision and tiles; not for an opened model, which has its own.
    intensity : (float, float), optional
        Grey values taken as black and white; percentiles of the stack by default.
    voxel_size : (z, y, x), optional
        In `unit`, where the stack does not have it.
    unit : str, optional
        Such as "nanometer".
    progress : callable, optional
        Called with the share that is done, 0 to 1. An error that it raises stops the run.

    Returns
    -------
    ndarray (z, y, x)
        In the dtype of the source; real slices are its very values.

    Raises
    ------
    TsainError
        If the stack cannot be read, the arguments do not fit it, or memory does not suffice.

    Examples
    --------
    >>> finer = tsain.interpolate("stack.tif", factor=4)
    >>> repaired = tsain.interpolate(array, replace=[12, 57], model="tsain-lite")
    """
    volume = as_volume(source, voxel_size, unit)
    opened = model_for(volume, model, settings)
    schedule = _schedule(volume, opened, SliceSelection(factor, z_size, tuple(replace), between))
    shape = (len(schedule.slices), *volume.shape[1:])
    try:
        result = np.empty(shape, volume.dtype)
    except MemoryError as error:
        size = math.prod(shape) * volume.dtype.itemsize / 2**30
        raise TsainError(
            f"The result takes {size:.1f} GiB, which is more than the memory; write it with "
            "interpolate_to_file."
        ) from error
    limits = None if intensity is None else IntensityRange(*intensity)
    events: Any = run_schedule(volume, schedule, opened, limits)
    with closing(events):
        for event in events:
            if isinstance(event, SliceReady):
                result[event.index] = event.image
            elif progress is not None:
                progress(event.done / event.total)
    if progress is not None:
        progress(1.0)
    return result


def interpolate_to_file(
    source: Source,
    output: str | os.PathLike[str],
    *,
    factor: int | None = None,
    z_size: float | None = None,
    replace: Iterable[int] = (),
    between: tuple[int, int] | None = None,
    model: Model = "auto",
    settings: InferenceSettings | None = None,
    intensity: tuple[float, float] | None = None,
    voxel_size: Triple | None = None,
    unit: str | None = None,
    dataset: str | None = None,
    memory: int | None = None,
    overwrite: bool = False,
    restart: bool = False,
    accept_changed_input: bool = False,
    leave_out_failed: bool = False,
    progress: OnProgress | None = None,
) -> Volume:
    """Compute the slices that are missing in a stack, and write the result.

    An OME-Zarr is made block by block, as `tsain interpolate` does: that takes no more than
    `memory`, and the same call goes on where an interrupted one stopped. All other results are
    written slice by slice; nothing is left behind when the run is stopped.

    Parameters
    ----------
    source : path, Volume or array-like (z, y, x)
    output : path
        .tif, .h5 or .zarr (OME-Zarr); a URL for OME-Zarr.
    factor, z_size, replace, between, model, settings, intensity, voxel_size, unit
        See `interpolate`.
    dataset : str, optional
        Path inside the source file.
    memory : int, optional
        Bytes that a run block by block may take; 60 % of the free memory by default.
    overwrite : bool
        Replace an existing result, when the new one is complete.
    restart, accept_changed_input, leave_out_failed : bool
        For OME-Zarr: forget what an interrupted run has left; go on although the source has
        changed; finish although blocks failed, which then hold the fill value.
    progress : callable, optional
        Called with the share that is done, 0 to 1. An error that it raises stops the run.

    Returns
    -------
    Volume
        The result, opened.

    Raises
    ------
    TsainError
        As `interpolate`, and if the result exists or cannot be written.

    Examples
    --------
    >>> tsain.interpolate_to_file("stack.tif", "finer.zarr", factor=4, memory=4 << 30)
    """
    selection = SliceSelection(factor, z_size, tuple(replace), between)
    target = os.fspath(output)
    zarr = target.rstrip("/").lower().endswith(".zarr") or "://" in target
    volume = as_volume(source, voxel_size, unit, dataset)
    if zarr:
        name, given = _name_and_model(volume, model, settings)
        tiled = given.tiled if given else None
        request = BlockwiseRequest(
            os.fspath(source) if is_path(source) else volume.source,
            target,
            dataset or volume.dataset,
            voxel_size,
            unit,
            selection,
            name,
            tiled.settings if tiled else settings or InferenceSettings(),
            intensity,
            memory=memory,
        )
        blocks = interpolate_blockwise(
            request,
            overwrite=overwrite,
            restart=restart,
            leave_out_failed=leave_out_failed,
            accept_changed_input=accept_changed_input,
            given=Given(volume, given),
        )
        _follow(blocks, progress)
        return open_volume(output)
    opened = model_for(volume, model, settings)
    schedule = _schedule(volume, opened, selection)
    limits = None if intensity is None else IntensityRange(*intensity)
    events = write_schedule(volume, output, schedule, opened, limits, overwrite=overwrite)
    _follow(events, progress)
    return open_volume(output)


def _name_and_model(
    volume: Volume, model: Model, settings: InferenceSettings | None
) -> tuple[str, SliceModel | None]:
    """Name of a model, and the model if it is open already."""
    if is_path(model):
        return name_for(volume, model, settings), None
    opened = as_model(model, settings)
    return opened.name, opened


def _schedule(volume: Volume, model: SliceModel, selection: SliceSelection) -> Schedule:
    voxel_z = volume.voxel_size[0] if volume.voxel_size else None
    return selection.schedule(volume.shape[0], voxel_z, model.any_position)


def _follow(events: Generator[Any, None, None], progress: OnProgress | None) -> None:
    """Run to the end; whatever stops it closes the generator."""
    with closing(events):
        for event in events:
            if progress is None:
                continue
            if isinstance(event, TileProgress):
                progress(event.done / event.total)
            elif isinstance(event, RunProgress):
                progress(event.done)
    if progress is not None:
        progress(1.0)
