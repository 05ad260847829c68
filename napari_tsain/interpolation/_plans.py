"""From what the dock's forms say to a run."""

from __future__ import annotations

from dataclasses import replace

from tsain_core.errors import TsainError
from tsain_core.interpolation.request import HERE
from tsain_core.interpolation.selection import SliceSelection

from ..widgets.source_form import SourceForm
from ._labels_form import LabelsForm
from ._model import ModelForm
from ._output import OutputForm
from ._parts_form import PartsForm
from ._selection_form import SelectionForm
from ._summaries import command_of
from ._worker_tasks import LayerRunPlan, plan_for

Forms = tuple[SourceForm, SelectionForm, PartsForm, ModelForm, OutputForm, LabelsForm]


def plan_of(
    source: SourceForm,
    selection: SelectionForm,
    parts: PartsForm,
    model: ModelForm,
    output: OutputForm,
    labels: LabelsForm,
) -> LayerRunPlan:
    """The run that the dock's forms describe.

    Raises
    ------
    TsainError
        If they do not fit together.
    """
    volume, choice, path, some = source.stack(), model.choice, output.path, parts.parts
    if some is not None and output.cluster != HERE:
        raise TsainError(
            "Parts of slices are computed here, and a Dask cluster is named: leave it empty, "
            "or replace whole slices."
        )
    along = None if some is not None else labels.along
    if along is not None and output.cluster != HERE:
        raise TsainError(
            "Labels are interpolated here, and a Dask cluster is named: leave it empty, or choose "
            "no labels."
        )
    chosen = SliceSelection() if some is not None else selection.chosen
    return plan_for(volume, chosen, choice, path, output.policy, output.cluster, some, along)


def command_for(forms: Forms) -> str:
    """The `tsain` command that does the same; it goes on with an unfinished run of the dock.

    Raises
    ------
    TsainError
        If the forms do not fit together, or a layer was not read from a file.
    """
    plan = plan_of(*forms)
    policy = replace(plan.request.policy, restart=False)  # or a repeated command begins again
    return command_of(replace(plan, request=replace(plan.request, policy=policy)))
