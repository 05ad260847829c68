"""Interpolating layers from Python: the same as the dock does, without a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray

    from tsain_core.inference.models import InferenceSettings

    from .interpolation._worker_tasks import LayerRunPlan, Opened
    from .layers.provenance import LayerMarks


def interpolate_layer(
    layer: Image,
    *,
    factor: int | None = None,
    z_size: float | None = None,
    damaged: Sequence[int] = (),
    between: tuple[int, int] | None = None,
    model: str | Path = "auto",
    settings: InferenceSettings | None = None,
    z_axis: int | None = None,
    index: Sequence[int] = (),
    output: str | Path | None = None,
    overwrite: bool = False,
    restart: bool = False,
) -> Image:
    """Interpolate an Image layer; returns the layer that the dock would add.

    Parameters
    ----------
    layer : napari.layers.Image
        A grey stack; of a multiscale layer level 0 is taken.
    factor, z_size, damaged, between
        What is wanted, as in `tsain_core.interpolation.selection.SliceSelection`.
    model : str or Path
        Name from `tsain models`, or a model file; "auto" takes the best on some slices of the
        stack, of the models that come with napari-tsain and the baselines.
    settings : tsain_core.inference.models.InferenceSettings, optional
        Device, precision, tiles.
    z_axis : int, optional
        Axis of the layer that z is; the third from last by default.
    index : sequence of int
        Place along the layer's other axes, in order; the first of each by default.
    output : path, optional
        OME-Zarr to write, block by block: the same call goes on with an interrupted run. The
        result is kept in memory without.
    overwrite : bool
        Replace an existing file.
    restart : bool
        Forget what an interrupted run has left.

    Returns
    -------
    napari.layers.Image
        Lies where the source lies, with its marks of synthetic slices; not yet in a viewer.

    Raises
    ------
    TsainError
        If the selection does not fit the layer, or the result cannot be computed or written.
    """
    from napari.layers import Image

    from tsain_core.inference.models import InferenceSettings, run_to_end
    from tsain_core.interpolation.request import RunPolicy
    from tsain_core.interpolation.selection import SliceSelection
    from tsain_core.stack_check import choose_model

    from .interpolation._model import ModelChoice
    from .interpolation._worker_tasks import plan_for
    from .layers.provenance import z_axis_of
    from .layers.result import expand_axes, placed_like, result_marks
    from .layers.stack import place_of, stack_of

    axis = z_axis_of(layer) if z_axis is None else z_axis
    volume = stack_of(layer, axis, index)
    place = place_of(layer, axis, index)
    settings = settings or InferenceSettings()
    if model == "auto":
        chosen = run_to_end(choose_model(volume, settings))
        model, settings = chosen.name, chosen.settings
    choice = ModelChoice(str(model), settings)
    selection = SliceSelection(factor, z_size, tuple(damaged), between)
    path = None if output is None else Path(output)
    plan = plan_for(volume, selection, choice, path, RunPolicy(overwrite, restart))
    schedule = plan.schedule
    first, step = float(schedule.slices[0].position), float(schedule.step)
    attributes = placed_like(layer, axis, place, first, step)
    opened, stack, digests = _computed(plan)
    made = opened.synthetic, opened.provenance, opened.partial
    marks = result_marks(layer, axis, place, schedule, *made)
    if path is not None:
        return _from_file(path, layer.ndim, axis, attributes, marks)
    attributes["metadata"] = replace(marks, digests=digests).to_metadata()
    return Image(
        expand_axes(stack, layer.ndim, axis), name=f"{layer.name} interpolated", **attributes
    )


def _computed(plan: LayerRunPlan) -> tuple[Opened, NDArray[Any], dict[int, str]]:
    """Run a plan: (what is known of the result, slices, digests); no slices of one on disk."""
    import numpy as np

    from tsain_core.errors import warn
    from tsain_core.interpolation.interpolate import SliceReady
    from tsain_core.volumes import slice_digest

    from .interpolation._worker_tasks import Advised, ModelCache, Opened, run

    depth = 0 if plan.output is not None else len(plan.schedule.slices)
    stack = np.empty((depth, *plan.volume.shape[1:]), plan.volume.dtype)
    opened, digests = Opened({}, ()), {}
    for event in run(plan, ModelCache()):
        if isinstance(event, Opened):
            opened = event
        elif isinstance(event, Advised):
            for advice in event.advice:
                warn(str(advice))
        elif isinstance(event, SliceReady):
            stack[event.index] = event.image
            if event.index in opened.marked:
                digests[event.index] = slice_digest(event.image)
    return opened, stack, digests


def _from_file(
    path: Path, ndim: int, axis: int, attributes: dict[str, Any], marks: LayerMarks
) -> Image:
    """The layer of a result that was written, with its pyramid."""
    from napari.layers import Image

    from .interpolation._run import as_written
    from .io import layer_data
    from .layers.provenance import METADATA_KEY
    from .layers.result import expand_axes

    data, read, _ = layer_data(path)
    marks = as_written(marks, path, read["metadata"][METADATA_KEY])
    attributes["metadata"] = marks.to_metadata()
    levels = [expand_axes(level, ndim, axis) for level in (data if read["multiscale"] else [data])]
    multiscale = len(levels) > 1
    return Image(
        levels if multiscale else levels[0], multiscale=multiscale, name=path.stem, **attributes
    )
