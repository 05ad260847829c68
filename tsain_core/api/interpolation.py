"""Interpolating a stack, in memory or to a file."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace as with_fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..blockwise import Given, RunProgress, interpolate_blockwise
from ..errors import TsainError, warn
from ..inference.models import InferenceSettings, any_position, run_to_end
from ..interpolation.interpolate import SliceReady, TileProgress
from ..interpolation.interpolate import interpolate as run_schedule
from ..interpolation.request import InterpolationRequest, RunPolicy
from ..interpolation.schedule import Schedule
from ..interpolation.selection import SliceSelection
from ..interpolation.to_file import interpolate_to_file as write_schedule
from ..stack_check import check_pairs
from ..volumes import Volume, open_volume
from ..volumes.volume import Triple
from .arguments import (
    Model,
    OnProgress,
    Source,
    as_model,
    as_triple,
    as_volume,
    choice_for,
    is_path,
    model_for,
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
    selection = _selection(factor, z_size, replace, between)
    request = InterpolationRequest("", "", selection=selection, intensity=intensity)
    schedule = request.schedule(volume, opened.any_position)
    _warn_of_pairs(volume, schedule, settings)
    shape = (len(schedule.slices), *volume.shape[1:])
    try:
        result = np.empty(shape, volume.dtype)
    except MemoryError as error:
        size = math.prod(shape) * volume.dtype.itemsize / 2**30
        raise TsainError(
            f"The result takes {size:.1f} GiB, which is more than the memory; write it with "
            "interpolate_to_file."
        ) from error
    limits = request.intensity_range(volume, opened.scaling)
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
    volume = as_volume(source, voxel_size, unit, dataset)
    request = InterpolationRequest(
        os.fspath(source) if is_path(source) else volume.source,
        os.fspath(output),
        dataset or volume.dataset,
        None if voxel_size is None else as_triple(voxel_size),
        unit,
        _selection(factor, z_size, replace, between),
        inference=settings or InferenceSettings(),
        intensity=intensity,
        memory=memory,
        policy=RunPolicy(overwrite, restart, leave_out_failed, accept_changed_input),
    )
    if request.in_blocks:
        _follow(_in_blocks(request, volume, model, settings), progress)
        return open_volume(output)
    opened = model_for(volume, model, settings)
    schedule = request.schedule(volume, opened.any_position)
    _warn_of_pairs(volume, schedule, settings)
    limits = request.intensity_range(volume, opened.scaling)
    events = write_schedule(volume, output, schedule, opened, limits, overwrite=overwrite)
    _follow(events, progress)
    return open_volume(output)


def _selection(
    factor: int | None,
    z_size: float | None,
    replaced: Iterable[int],
    between: tuple[int, int] | None,
) -> SliceSelection:
    """As the request has it: numbers of Python, also where arrays were given."""
    pair = None if between is None else (int(between[0]), int(between[1]))
    return SliceSelection(factor, z_size, tuple(int(z) for z in replaced), pair)


def _in_blocks(
    request: InterpolationRequest, volume: Volume, model: Model, settings: InferenceSettings | None
) -> Generator[Any, None, None]:
    given = None
    if is_path(model):
        name, chosen = choice_for(volume, model, settings)
        inference = chosen or request.inference
    else:
        given = as_model(model, settings)
        name, tiled = given.name, given.tiled
        inference = tiled.settings if tiled else request.inference
    request = with_fields(request, model=name, inference=inference)
    known = given.any_position if given else any_position(name)
    _warn_of_pairs(volume, request.schedule(volume, known), request.inference)
    return interpolate_blockwise(request, Given(volume, given))


def _warn_of_pairs(volume: Volume, schedule: Schedule, settings: InferenceSettings | None) -> None:
    """Warn of lost sections, wide gaps, and neighbours that do not go together."""
    chosen = settings or InferenceSettings()
    for advice in run_to_end(check_pairs(volume, schedule, chosen.align, chosen.match_brightness)):
        warn(str(advice))


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
