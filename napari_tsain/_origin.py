"""Where a computed slice on screen came from: the two real slices, and the place between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tsain_core.errors import TsainError
from tsain_core.schedule import reachable_fraction

from ._marks import LayerMarks, Parents, layer_marks, z_axis_of
from ._stack import level_0, stack_of

if TYPE_CHECKING:
    from tsain_core.volumes import Volume


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
    """

    stack: Volume
    parents: Parents
    before_z: float
    after_z: float
    z_axis: int
    index: tuple[int, ...] = ()

    @property
    def before(self) -> NDArray[Any]:
        """The real slice before (y, x), read anew."""
        return self.stack[self.parents.before]

    @property
    def after(self) -> NDArray[Any]:
        """The real slice after (y, x), read anew."""
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
        Among which the layer is looked for that this one was computed from.
    index : tuple of int
        Place along the layer's other axes.

    Raises
    ------
    TsainError
        If the slice is real, or the slices that it was computed from cannot be had.
    """
    marks = layer_marks(layer)
    axis = z_axis_of(layer)
    if z not in marks.synthetic:
        raise TsainError(_is_real(layer, z, marks))
    parents = marks.parents.get(z)
    source = _source_layer(marks, layers)
    if parents is not None and source is not None:
        stack = stack_of(source, axis, marks.source_index)
        before_z, after_z = (
            float((real - marks.start) / marks.step) for real in (parents.before, parents.after)
        )
    else:
        parents = _neighbours(layer, z, marks, level_0(layer).shape[axis])
        stack = stack_of(layer, axis, index)
        before_z, after_z = float(parents.before), float(parents.after)
    return SliceOrigin(stack, parents, before_z, after_z, axis, index)


def _source_layer(marks: LayerMarks, layers: Iterable[Any]) -> Any:
    """The layer that was interpolated, if it is still there and as deep as it was."""
    for layer in layers:
        if layer.name == marks.source_layer and not getattr(layer, "rgb", True):
            deepest = max((p.after for p in marks.parents.values()), default=0)
            axis = z_axis_of(layer) if marks.z_axis is None else marks.z_axis
            if axis < layer.ndim - 2 and level_0(layer).shape[axis] > deepest:
                return layer
    return None


def _neighbours(layer: Any, z: int, marks: LayerMarks, depth: int) -> Parents:
    """The nearest real slices of the layer itself, if those are what the slice was made from."""
    step = Fraction(str(marks.provenance.get("z_step", 1)))
    if step.numerator != 1:
        raise TsainError(
            f"Slice {z} of {layer.name!r} was computed from slices that are not in it (its z step "
            f"is {step} of the source's); needed is the source: open it, and interpolate again."
        )
    bad = set(marks.synthetic)
    below = next((i for i in range(z - 1, -1, -1) if i not in bad), None)
    above = next((i for i in range(z + 1, depth) if i not in bad), None)
    if below is None or above is None:
        raise TsainError(
            f"{layer.name!r} has no real slice on both sides of slice {z}; needed is the source: "
            "open it, and interpolate again."
        )
    gap = above - below
    return Parents(below, above, reachable_fraction(Fraction(z - below, gap), gap))


def _is_real(layer: Any, z: int, marks: LayerMarks) -> str:
    if marks.doubt:
        return (
            f"The marks of {layer.name!r} do not fit it ({marks.doubt}), so which slices were "
            "computed is not known; needed is the result as it was computed: interpolate again."
        )
    if not marks.synthetic:
        return (
            f"{layer.name!r} has no computed slices; needed is a result of Interpolate slices: "
            "choose one, or make one."
        )
    nearest = min(marks.synthetic, key=lambda s: abs(s - z))
    return f"Slice {z} is a real one; needed is a computed slice: go to slice {nearest}."
