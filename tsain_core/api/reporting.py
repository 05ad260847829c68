"""A report on a stack."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import TsainError
from ..evaluation.leave_one_out import CROP
from ..evaluation.metrics import WINDOW
from ..inference.models import InferenceSettings
from ..stack_report import StackReport, check_folder, report_on, write_folder
from ..stack_report.compute import MOST
from .arguments import OnProgress, Source, as_volume, choice_for, finished


def report(
    source: Source,
    folder: str | os.PathLike[str] | None = None,
    *,
    models: Sequence[str | os.PathLike[str]] = ("auto",),
    settings: InferenceSettings | None = None,
    at_most: int = MOST,
    crop: int = CROP,
    title: str = "",
    dataset: str | None = None,
    overwrite: bool = False,
    progress: OnProgress | None = None,
) -> StackReport:
    """Report how good models are on a stack, how sure that is, and what makes scores mislead.

    Slices are left out, computed from their neighbours by each model and by the baselines, and
    compared with the real ones. The report is about the first model.

    Parameters
    ----------
    source : path, Volume or array-like (z, y, x)
    folder : path, optional
        Gets report.html, report.json and scores.csv; nothing is written without.
    models : sequence of str or path
        Names or files; "auto" is the best for the stack by a check on some of its slices.
    settings : InferenceSettings, optional
        Of the networks.
    at_most : int
        Most slices that are left out, spread evenly over the stack.
    crop : int
        Side in pixels of the central crop that is scored.
    title : str
        Name of the stack on the page; by default that of its file.
    dataset : str, optional
        Path inside the source file.
    overwrite : bool
        Replace a report that is in the folder.
    progress : callable, optional
        Called with the share of the present part that is done, 0 to 1: each model is a part.

    Returns
    -------
    StackReport
        `sentences()` are its verdicts, `check` has the scores, `cautions` the warnings, `errors`
        computed minus real grey values, and `to_json()` all numbers.

    Raises
    ------
    TsainError
        If the stack has fewer than three slices, a model cannot be opened, or the folder holds
        something else.

    Examples
    --------
    >>> found = tsain.report("stack.tif", "out/", at_most=6)
    >>> print(*found.sentences(), sep="\\n")
    """
    if not models or isinstance(models, str):
        raise TsainError(f'models is {models!r}; a list of names is required, such as ["auto"].')
    if at_most < 1 or crop < WINDOW:
        raise TsainError(
            f"at_most is {at_most} and crop {crop}; at least 1 slice and {WINDOW} pixels are "
            "required: give larger ones."
        )
    if folder is not None:
        check_folder(Path(folder), overwrite)
    volume = as_volume(source, dataset=dataset)
    chosen = settings or InferenceSettings()
    names = [choice_for(volume, name, chosen)[0] for name in models]
    work = report_on(volume, names, chosen, most=at_most, crop=crop, title=title)
    made = finished(work, progress)
    if folder is not None:
        write_folder(made, Path(folder), overwrite)
    return made
