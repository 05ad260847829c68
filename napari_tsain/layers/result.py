"""How a result becomes a layer that lies where its source lies, and says what was computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tsain_core.interpolation.schedule import Schedule

from .provenance import LayerMarks, Parents
from .stack import stack_axes

#: What a result looks like is what its source looks like.
_APPEARANCE = (
    "colormap",
    "gamma",
    "opacity",
    "blending",
    "interpolation2d",
    "interpolation3d",
    "rendering",
    "attenuation",
    "iso_threshold",
    "projection_mode",
)


def placed_like(
    layer: Any, z_axis: int, index: tuple[int, ...], start: float, step: float
) -> dict[str, Any]:
    """Scale, translate, units and the rest for a layer of slices `start`, `start + step`, ...

    Parameters
    ----------
    layer : napari.layers.Image
        The source.
    z_axis : int
        Its axis that z is.
    index : tuple of int
        Place along its other axes.
    start, step : float
        In slices of the source.

    Returns
    -------
    dict
        Keyword arguments of `napari.layers.Image`, for data of as many axes as the source.
    """
    first = np.zeros(layer.ndim)
    first[list(stack_axes(layer, z_axis))] = index
    first[z_axis] = start
    scale = np.array(layer.scale, float)
    scale[z_axis] *= step
    # the affine comes after translate: what moves the first voxel must be seen from before it
    translate = np.asarray(layer.affine.inverse(np.asarray(layer.data_to_world(first))))
    return {
        "scale": scale,
        "translate": translate,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
        "contrast_limits": list(layer.contrast_limits),
        **{name: getattr(layer, name) for name in _APPEARANCE},
    }


def result_marks(
    layer: Any,
    z_axis: int,
    index: tuple[int, ...],
    schedule: Schedule,
    synthetic: tuple[int, ...],
    provenance: Mapping[str, Any],
    partial: Mapping[int, Mapping[str, Any]] | None = None,
) -> LayerMarks:
    """Marks of a result: which slices were computed, and from which of the source."""
    return LayerMarks(
        synthetic=synthetic,
        partial=partial or {},
        provenance=provenance,
        z_axis=z_axis,
        source_layer=layer.name,
        source_index=index,
        start=schedule.slices[0].position,
        step=schedule.step,
        depth=len(schedule.slices),
        parents={
            i: Parents(s.before, s.after, s.fraction)
            for i, s in enumerate(schedule.slices)
            if s.synthetic
        },
    )


def expand_axes(data: Any, ndim: int, z_axis: int) -> Any:
    """A stack (z, y, x) as data of `ndim` axes, of length 1 but for z, y and x.

    Works on arrays that can be reshaped: numpy and dask.
    """
    if ndim == 3:
        return data
    shape = [1] * (ndim - 2) + list(data.shape[1:])
    shape[z_axis] = data.shape[0]
    return data.reshape(shape)
