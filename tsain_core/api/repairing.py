"""Repairing damaged parts of slices."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import TsainError
from ..inference.intensity import IntensityRange
from ..inference.models import InferenceSettings, run_to_end
from ..inspection import inspect_stack
from ..interpolation.interpolate import SliceReady
from ..repairing import RepairMask, find_parts, repair_to_file
from ..repairing import repair as repair_slices
from ..volumes import Volume, open_labels, open_volume
from .arguments import Model, OnProgress, Source, as_volume, is_path, model_for


def repair(
    source: Source,
    mask: str | os.PathLike[str] | Volume | ArrayLike = "auto",
    *,
    output: str | os.PathLike[str] | None = None,
    replace: Iterable[int] = (),
    model: Model = "auto",
    settings: InferenceSettings | None = None,
    intensity: tuple[float, float] | None = None,
    dataset: str | None = None,
    mask_dataset: str | None = None,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> NDArray[Any] | Volume:
    """Recompute the damaged pixels of a stack from the neighbouring slices.

    They are blended with the pixels round them; all others stay as they are, bit for bit.

    Parameters
    ----------
    source : path, Volume or array-like (z, y, x)
    mask : path, Volume or array-like (z, y, x)
        Integers or bool; all pixels but 0 are recomputed. "auto" finds the damaged parts of the
        slices `replace`, or of those that `inspect` finds.
    output : path, optional
        .tif, .h5 or .zarr to write; the result is kept in memory without.
    replace : iterable of int
        Slices to recompute as a whole; with "auto" those that are searched.
    model, settings, intensity
        As in `interpolate`.
    dataset, mask_dataset : str, optional
        Path inside the source file, and inside that of the mask.
    overwrite : bool
        Replace an existing result, when the new one is complete.
    progress : callable, optional
        Called with the share that is done, 0 to 1. An error that it raises stops the run.

    Returns
    -------
    ndarray (z, y, x) or Volume
        In the dtype of the source; the opened result where there is an `output`.

    Raises
    ------
    TsainError
        If the mask does not fit the stack, masked pixels have no real ones on both sides, or the
        result cannot be written.

    Examples
    --------
    >>> repaired = tsain.repair("stack.tif", "damage.tif")
    >>> repaired = tsain.repair("stack.tif", replace=[12], output="repaired.zarr")
    """
    volume = as_volume(source, dataset=dataset)
    made = _mask(volume, mask, mask_dataset, tuple(replace))
    opened = model_for(volume, model, settings)
    limits = None if intensity is None else IntensityRange(*intensity)
    if output is not None:
        _follow(repair_to_file(volume, output, made, opened, limits, overwrite=overwrite), progress)
        return open_volume(output)
    result = np.empty(volume.shape, volume.dtype)
    _follow(repair_slices(volume, made, opened, limits), progress, result)
    return result


def _mask(volume: Volume, mask: Any, dataset: str | None, slices: tuple[int, ...]) -> RepairMask:
    if isinstance(mask, str) and mask == "auto":
        slices = slices or run_to_end(inspect_stack(volume)).damaged
        if not slices:
            raise TsainError(
                "No damaged slice was found that has sound ones on both sides, so nothing is to be "
                "repaired; give a mask, or slices to replace."
            )
        return run_to_end(find_parts(volume, slices))
    if is_path(mask):
        labels: Any = open_labels(mask, dataset=dataset)
        return RepairMask.of(labels, volume.shape, os.fspath(mask)).with_whole(slices)
    labels = mask if hasattr(mask, "shape") else np.asarray(mask)
    return RepairMask.of(labels, volume.shape).with_whole(slices)


def _follow(
    events: Generator[Any, None, None],
    progress: OnProgress | None,
    result: NDArray[Any] | None = None,
) -> None:
    with closing(events):
        for event in events:
            if isinstance(event, SliceReady):
                if result is not None:
                    result[event.index] = event.image
            elif progress is not None:
                progress(event.done / event.total)
    if progress is not None:
        progress(1.0)
