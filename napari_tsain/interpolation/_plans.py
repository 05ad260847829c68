"""From what the dock's forms say to a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsain_core.errors import TsainError
from tsain_core.interpolation.schedule import Schedule, by_factor
from tsain_core.interpolation.selection import SliceSelection

from ._model import ModelForm
from ._output import OutputForm
from ._parts_form import PartsForm
from ._selection_form import SelectionForm
from ._source import SourceForm
from ._summaries import command_of
from ._worker_tasks import LayerRunPlan, blockwise_request

if TYPE_CHECKING:
    from tsain_core.volumes import Volume


Forms = tuple[SourceForm, SelectionForm, PartsForm, ModelForm, OutputForm]


def schedule_of(selection: SelectionForm, volume: Volume, any_position: bool) -> Schedule:
    """The slices that the dock's selection comes to."""
    return selection.chosen.schedule(volume.shape[0], volume.voxel_z, any_position)


def plan_of(
    source: SourceForm,
    selection: SelectionForm,
    parts: PartsForm,
    model: ModelForm,
    output: OutputForm,
) -> LayerRunPlan:
    """The run that the dock's forms describe.

    Raises
    ------
    TsainError
        If they do not fit together.
    """
    volume, choice, path = source.stack(), model.choice, output.path
    some = parts.parts
    if some is not None:
        if output.cluster is not None:
            raise TsainError(
                "Parts of slices are computed here, and a Dask cluster is named: leave it empty, "
                "or replace whole slices."
            )
        wanted = SliceSelection(damaged=some.slices)
        schedule = by_factor(volume.shape[0], 1, (), choice.any_position)
    else:
        wanted = selection.chosen
        schedule = schedule_of(selection, volume, choice.any_position)
    return LayerRunPlan(
        volume,
        schedule,
        choice,
        blockwise_request(volume, wanted, choice, str(path)) if path else None,
        output.overwrite,
        output.restart,
        some,
    )


def command_for(
    source: SourceForm,
    selection: SelectionForm,
    parts: PartsForm,
    model: ModelForm,
    output: OutputForm,
    restart: bool,
) -> str:
    """The `tsain` command that does the same; it goes on with an unfinished run of the dock.

    Raises
    ------
    TsainError
        If the forms do not fit together, or a layer was not read from a file.
    """
    volume, choice, some = source.stack(), model.choice, parts.parts
    if some is None:
        schedule_of(selection, volume, choice.any_position)
        wanted = selection.chosen
    else:
        wanted = SliceSelection(damaged=some.slices if some.found else some.whole)
    return command_of(
        volume,
        wanted,
        choice,
        str(output.path or "result.zarr"),
        overwrite=output.overwrite,
        restart=restart,
        cluster=output.cluster,
        parts=some,
    )
