"""Scoring models on a stack."""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation.leave_one_out import CROP, mean_by_model
from ..evaluation.leave_one_out import evaluate as score_triplets
from ..evaluation.metrics import Scores
from ..inference.models import BASELINES, InferenceSettings
from .arguments import Model, OnProgress, Source, as_model, as_volume, choice_for, is_path


def evaluate(
    source: Source,
    models: Sequence[Model] = ("auto", *BASELINES),
    *,
    crop: int = CROP,
    every: int = 1,
    settings: InferenceSettings | None = None,
    progress: OnProgress | None = None,
) -> dict[str, Scores]:
    """Score models on a stack: each inner slice is computed from its neighbours and compared.

    Parameters
    ----------
    source : path, Volume or array-like (z, y, x)
    models : sequence of str, path or SliceModel
        By default "auto", the best for the stack by a check on some of its slices, and the
        baselines.
    crop : int
        Side in pixels of the central crop that is scored.
    every : int
        Take every n-th slice.
    settings : InferenceSettings, optional
        For the models that are given by name.
    progress : callable, optional
        Called with the share that is done, 0 to 1.

    Returns
    -------
    dict of str to Scores
        Name of a model -> mean of its scores.

    Raises
    ------
    TsainError
        If the stack has fewer than three slices, or a model cannot be opened.

    Examples
    --------
    >>> scores = tsain.evaluate("stack.tif", every=4)
    >>> scores["tsain-lite"].psnr - scores["mean"].psnr
    """
    volume = as_volume(source)
    # not mixed with the mean: the shares would come from the very slices that are scored
    named = [choice_for(volume, m, settings)[0] if is_path(m) else m for m in models]
    opened = [as_model(m, settings if is_path(m) else None) for m in named]
    total = len(range(1, volume.shape[0] - 1, every)) * len(opened)
    results = []
    for result in score_triplets(volume, opened, crop, every):
        results.append(result)
        if progress is not None:
            progress(len(results) / total)
    return mean_by_model(results)
