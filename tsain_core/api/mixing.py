"""How to mix a model with the mean of neighbours on a stack, in Python."""

from __future__ import annotations

import os

from ..inference.models import InferenceSettings
from ..stack_check import mix_model
from .arguments import OnProgress, Source, as_volume, finished


def find_mix(
    source: Source,
    model: str | os.PathLike[str] = "tsain-lite",
    settings: InferenceSettings | None = None,
    *,
    dataset: str | None = None,
    progress: OnProgress | None = None,
) -> InferenceSettings:
    """Find how a model is best mixed with the mean of neighbours on a stack.

    Up to 10 slices are left out and computed, which takes seconds. "auto" as a model does
    so by itself.

    Parameters
    ----------
    source : path, Volume or array-like (z, y, x)
    model : str or path
        A network: a name from `tsain models`, or a model file.
    settings : InferenceSettings, optional
        Device, precision and tiles.
    dataset : str, optional
        Path inside the source file.
    progress : callable, optional
        Called with the share that is done, 0 to 1. An error that it raises stops the work.

    Returns
    -------
    InferenceSettings
        As given, with the `mean_shares`, `own_shares` and `brightness_slices` found: None, zeros
        and 1 if the model is best as it is.

    Raises
    ------
    TsainError
        If the model is a baseline, or the stack has too few slices that can be left out.

    Examples
    --------
    >>> settings = tsain.find_mix("stack.tif", "tsain-lite")
    >>> finer = tsain.interpolate("stack.tif", model="tsain-lite", settings=settings)
    """
    volume = as_volume(source, dataset=dataset)
    work = mix_model(volume, os.fspath(model), settings or InferenceSettings())
    return finished(work, progress).settings
