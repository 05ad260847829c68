"""An Image layer as a stack (z, y, x) that the core can interpolate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tsain_core.errors import TsainError

from .provenance import layer_marks

if TYPE_CHECKING:
    from tsain_core.volumes import Volume


def check_layer(layer: Any) -> None:
    """Refuse a layer that is no grey stack.

    Raises
    ------
    TsainError
        If it is no Image layer, is RGB, or has fewer than three dimensions.
    """
    from napari.layers import Image

    if not isinstance(layer, Image):
        kind = type(layer).__name__
        raise TsainError(
            f"{layer.name!r} is a {kind} layer, which holds no grey values; choose the Image layer "
            "of the stack."
        )
    if getattr(layer, "rgb", False):
        raise TsainError(
            f"{layer.name!r} is a colour image; expected grey values: split it into channels "
            "(Layers > Data > Split RGB) and choose one."
        )
    if layer.ndim < 3:
        raise TsainError(
            f"{layer.name!r} is a single image; expected a stack (z, y, x): open the folder of "
            "the slices."
        )


def level_0(layer: Any) -> Any:
    """The array of a layer in full resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def stack_axes(layer: Any, z_axis: int) -> tuple[int, ...]:
    """Axes of a layer besides z that are no image axes: time, channel."""
    return tuple(axis for axis in range(layer.ndim - 2) if axis != z_axis)


def place_of(layer: Any, z_axis: int, index: Sequence[int] = ()) -> tuple[int, ...]:
    """The place along a layer's other axes than z, y and x: `index`, or its first one.

    Raises
    ------
    TsainError
        If the index has another number of axes, or lies beyond the layer.
    """
    sizes = [int(level_0(layer).shape[axis]) for axis in stack_axes(layer, z_axis)]
    place = tuple(int(i) for i in index) if len(index) else (0,) * len(sizes)
    if len(place) != len(sizes) or not all(0 <= i < n for i, n in zip(place, sizes, strict=True)):
        raise TsainError(
            f"The place {place} was chosen along the other axes of {layer.name!r}, which have "
            f"{tuple(sizes)} places; give one number for each, counted from 0."
        )
    return place


def stack_of(layer: Any, z_axis: int | None = None, index: Sequence[int] = ()) -> Volume:
    """The stack of an Image layer, lazily.

    Parameters
    ----------
    layer : napari.layers.Image
        With its last two axes y and x; of a multiscale layer level 0 is taken.
    z_axis : int, optional
        The axis that z is; by default as `z_axis_of` says.
    index : sequence of int
        Place along the other axes (`stack_axes`), in order.

    Returns
    -------
    tsain_core.volumes.Volume
        Voxel size and offset are the layer's scale and translate, in one unit for all axes. An
        axis that is measured in pixels where another is not has no size; no axis has one where
        all are measured in pixels of scale 1.

    Raises
    ------
    TsainError
        If the layer is no grey stack, or of a dtype that is not supported.
    """
    import dask.array as da

    from tsain_core.volumes import (
        LOST,
        Volume,
        normal_unit,
        offset_in,
        partial_from_json,
        voxel_size_of,
    )
    from tsain_core.volumes.volume import check_stack

    from .provenance import z_axis_of

    check_layer(layer)
    z = z_axis_of(layer) if z_axis is None else z_axis
    if not 0 <= z < layer.ndim - 2:
        raise TsainError(
            f"Axis {z} of {layer.name!r} was chosen as z; expected 0 to {layer.ndim - 3}: the "
            "last two axes are y and x."
        )
    data = level_0(layer)
    where = dict(zip(stack_axes(layer, z), place_of(layer, z, index), strict=True))
    if not isinstance(data, da.Array):
        # one chunk a slice: a slice is read without its neighbours
        chunks = [1] * (layer.ndim - 2) + [-1, -1]
        data = da.from_array(data, chunks=chunks, name=False)
    data = data[tuple(slice(None) if a == z else where.get(a, 0) for a in range(layer.ndim - 2))]
    check_stack(data.shape, data.dtype, repr(layer.name))
    marks = layer_marks(layer)
    axes = (z, layer.ndim - 2, layer.ndim - 1)
    units = [normal_unit(str(layer.units[a])) for a in axes]
    size, unit = voxel_size_of([layer.scale[a] for a in axes], units)
    if unit is None and size == (float(marks.step), 1.0, 1.0):
        size = None  # what napari takes where nobody has stated a size
    offset = offset_in([layer.translate[a] for a in axes], units, unit)
    return Volume(
        data,
        voxel_size=size,
        unit=unit,
        offset=offset,
        synthetic=marks.synthetic,
        partial=partial_from_json(marks.partial),
        provenance={**marks.provenance, **({LOST: marks.doubt} if marks.doubt else {})},
        source=marks.source or layer.source.path or "",
        format=marks.format,
        dataset=marks.dataset or None,
    )
