"""Where a computed slice on screen came from: the two real slices, and the place between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tsain_core.errors import TsainError
from tsain_core.interpolation.schedule import reachable_fraction

from .provenance import LayerMarks, Parents, layer_marks, z_axis_of
from .stack import level_0, stack_axes, stack_of

if TYPE_CHECKING:
    from tsain_core.volumes import Volume

_COMPARED = 4  # real slices by which a source is known


@dataclass(frozen=True)
class SliceOrigin:
    """What a computed slice of a layer was computed from.

    Attributes
    ----------
    stack : Volume
        In which the real slices are, lazily.
    parents : Parents
        Which slices of it, and the place of the computed slice between them.
    before_z, after_z : float
        Where they lie, as z of this layer.
    z_axis : int
        Axis of the layer that z is.
    index : tuple of int
        Place along the layer's other axes.
    exact : Fraction
        Where the slice lies between the real ones. Where the marks do not say how it was computed,
        `fraction` is as close as halvings come.
    """

    stack: Volume
    parents: Parents
    before_z: float
    after_z: float
    z_axis: int
    index: tuple[int, ...]
    exact: Fraction

    @property
    def before(self) -> NDArray[Any]:
        """The real slice before (y, x), read again."""
        return self.stack[self.parents.before]

    @property
    def after(self) -> NDArray[Any]:
        """The real slice after (y, x), read again."""
        return self.stack[self.parents.after]

    @property
    def fraction(self) -> Fraction:
        """Place of the computed slice between them, 0 to 1."""
        return self.parents.fraction


def slice_origin(
    layer: Any, z: int, layers: Iterable[Any] = (), index: tuple[int, ...] = ()
) -> SliceOrigin:
    """Find what slice `z` of a layer was computed from.

    Parameters
    ----------
    layer : napari.layers.Image
    z : int
    layers : iterable of layers
        Among which the layer is looked for that this one was computed from, where the real slices
        are not in this one itself.
    index : tuple of int
        Place along the layer's other axes.

    Raises
    ------
    TsainError
        If the slice is real, or the slices that it was computed from cannot be had.
    """
    marks = layer_marks(layer, z)
    axis = z_axis_of(layer)
    if z not in marks.synthetic:
        raise TsainError(_is_real(layer, z, marks))
    parents = marks.parents.get(z)
    if parents is not None:
        before_z, after_z = (
            (real - marks.start) / marks.step for real in (parents.before, parents.after)
        )
        if _is_real_slice(layer, axis, before_z, marks) and _is_real_slice(
            layer, axis, after_z, marks
        ):
            own = Parents(int(before_z), int(after_z), parents.fraction)
            stack = stack_of(layer, axis, index)
            ends = float(before_z), float(after_z)
            return SliceOrigin(stack, own, *ends, axis, index, parents.fraction)
        source = source_layer(layer, layers)
        if source is not None:
            stack = stack_of(source, axis, marks.source_index)
            ends = float(before_z), float(after_z)
            return SliceOrigin(stack, parents, *ends, axis, index, parents.fraction)
    parents = _neighbours(layer, z, marks, level_0(layer).shape[axis])
    stack = stack_of(layer, axis, index)
    ends = float(parents.before), float(parents.after)
    exact = Fraction(z - parents.before, parents.after - parents.before)
    return SliceOrigin(stack, parents, *ends, axis, index, exact)


def source_layer(layer: Any, layers: Iterable[Any]) -> Any:
    """The layer that a result was computed from, by what is in it; None if it is not among them.

    A name says little: layers are renamed, and others get the name. The source is as large as the
    result's marks say, and the real slices of the result are in it, where the marks say.

    Parameters
    ----------
    layer : napari.layers.Image
        A result.
    layers : iterable of layers
    """
    marks = layer_marks(layer)
    candidates = [other for other in layers if _may_be_source(other, layer, marks)]
    candidates.sort(key=lambda other: other.name != marks.source_layer)  # the likely ones first
    return next((other for other in candidates if _has_its_slices(other, layer, marks)), None)


def _is_real_slice(layer: Any, axis: int, z: Fraction, marks: LayerMarks) -> bool:
    """Whether a layer has a real slice at z."""
    inside = z.denominator == 1 and 0 <= z < level_0(layer).shape[axis]
    return inside and int(z) not in marks.synthetic


def _may_be_source(other: Any, layer: Any, marks: LayerMarks) -> bool:
    """Whether shape and kind fit."""
    if other == layer or getattr(other, "rgb", True) or other.ndim != layer.ndim:
        return False
    axis, data = z_axis_of(layer), level_0(other)
    places = stack_axes(other, axis)
    deepest = max((p.after for p in marks.parents.values()), default=0)
    return (
        data.shape[-2:] == level_0(layer).shape[-2:]
        and data.dtype == level_0(layer).dtype
        and data.shape[axis] > deepest
        and len(marks.source_index) in (0, len(places))
        and all(i < data.shape[a] for a, i in zip(places, marks.source_index, strict=False))
    )


def _has_its_slices(other: Any, layer: Any, marks: LayerMarks) -> bool:
    """Whether some of the result's real slices are in the other layer where they should be."""
    axis = z_axis_of(layer)
    result, source = stack_of(layer, axis), stack_of(other, axis, marks.source_index)
    synthetic = set(marks.marked)  # parts of slices differ, too
    places = {z: marks.start + z * marks.step for z in range(result.shape[0]) if z not in synthetic}
    shared = [
        (z, int(place))
        for z, place in places.items()
        if place.denominator == 1 and 0 <= place < source.shape[0]
    ]
    if not shared:
        return False
    chosen = {shared[round(i * (len(shared) - 1) / (_COMPARED - 1))] for i in range(_COMPARED)}
    return all(
        np.array_equal(result[z], source[place], equal_nan=result.dtype.kind == "f")
        for z, place in sorted(chosen)
    )


def _neighbours(layer: Any, z: int, marks: LayerMarks, depth: int) -> Parents:
    """The nearest real slices of the layer itself, if those are what the slice was made from."""
    step = Fraction(str(marks.provenance.get("z_step", 1)))
    if step.numerator != 1:
        raise TsainError(
            f"Slice {z} of {layer.name!r} was computed from slices that are not in it (its z step "
            f"is {step} of the source's); open the stack that it was computed from, too."
        )
    bad = set(marks.synthetic)
    below = next((i for i in range(z - 1, -1, -1) if i not in bad), None)
    above = next((i for i in range(z + 1, depth) if i not in bad), None)
    if below is None or above is None:
        raise TsainError(
            f"{layer.name!r} has no real slice on both sides of slice {z}; open the stack that it "
            "was computed from, and interpolate again."
        )
    gap = above - below
    return Parents(below, above, reachable_fraction(Fraction(z - below, gap), gap))


def _is_real(layer: Any, z: int, marks: LayerMarks) -> str:
    if marks.doubt:
        return (
            f"The marks of {layer.name!r} do not fit it ({marks.doubt}), so which slices were "
            "computed is not known; expected the result as it was computed: interpolate again."
        )
    if not marks.synthetic:
        return (
            f"{layer.name!r} has no computed slices; a result of Interpolate slices is needed: "
            "choose one, or make one."
        )
    nearest = min(marks.synthetic, key=lambda s: abs(s - z))
    return f"Slice {z} is a real one; sampling is shown on computed ones: go to slice {nearest}."
