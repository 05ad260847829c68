"""What a layer says of its slices: which were computed, by what, and from where.

It stands as JSON-able values in ``layer.metadata["tsain"]``, so that it survives copying, saving
with napari's own tools, and layers made in scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

#: Key in a layer's metadata.
METADATA_KEY = "tsain"
#: Key of layers that are ours and no stacks: previews, points, maps.
HELPER_KEY = "tsain_helper"
#: `tsain_core.volumes.LOST`, which this module does not import: it is needed at once.
_LOST = "marks_lost"
_CHECKED, _CHECKED_LAZILY = 32, 3  # slices whose grey values are compared with their digests
# layer -> its data and what was found wrong: to look again would read from a disk
_SEEN: WeakKeyDictionary[Any, tuple[Any, str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Parents:
    """The real slices of the source layer that a slice was computed from.

    Attributes
    ----------
    before, after : int
        z of those slices in the source layer.
    fraction : Fraction
        Place between them, 0 to 1.
    """

    before: int
    after: int
    fraction: Fraction


@dataclass(frozen=True)
class LayerMarks:
    """Marks of a layer.

    Attributes
    ----------
    synthetic : tuple of int
        z of the slices that were computed, not acquired.
    partial : dict
        z of a slice that is real but for some pixels -> which ones, as JSON:
        `tsain_core.volumes.PartlyComputed`.
    provenance : dict
        How they were computed; JSON-able.
    source, dataset, format : str
        The file it was read from, the path inside it, the name of the format; empty if unknown.
    z_axis : int or None
        Axis of the layer that z is; None is the third from last.
    source_layer : str
        Name of the layer it was computed from.
    source_index : tuple of int
        Place along that layer's other axes.
    start, step : Fraction
        Slice z of this layer lies at ``start + z * step`` in slices of the source layer.
    parents : dict
        z of a computed slice -> what it was computed from.
    computed : int or None
        While a run goes on: how many slices, from the first, are there. None when all are.
    depth : int or None
        Number of slices that the marks are for.
    digests : dict
        z of a computed slice -> `tsain_core.volumes.slice_digest` of it.
    doubt : str
        Why marks in the layer's metadata do not fit the layer and count for nothing; empty if they
        do.
    """

    synthetic: tuple[int, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    dataset: str = ""
    format: str = ""
    z_axis: int | None = None
    source_layer: str = ""
    source_index: tuple[int, ...] = ()
    start: Fraction = Fraction(0)
    step: Fraction = Fraction(1)
    parents: Mapping[int, Parents] = field(default_factory=dict)
    computed: int | None = None
    depth: int | None = None
    digests: Mapping[int, str] = field(default_factory=dict)
    doubt: str = ""
    partial: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def marked(self) -> tuple[int, ...]:
        """z of the slices that were computed, as a whole or in part."""
        return tuple(sorted({*self.synthetic, *self.partial}))

    def to_metadata(self) -> dict[str, Any]:
        """``{"tsain": {...}}`` for a layer's metadata; what says nothing is left out."""
        values: dict[str, Any] = {
            "synthetic_slices": list(self.synthetic),
            "provenance": dict(self.provenance),
            "source": self.source,
            "dataset": self.dataset,
            "format": self.format,
            "source_layer": self.source_layer,
        }
        if self.parents:
            values |= {"start": str(self.start), "step": str(self.step)}
            values["source_index"] = list(self.source_index)
            values["parents"] = {
                str(z): [p.before, p.after, str(p.fraction)] for z, p in self.parents.items()
            }
        if self.digests:
            values["digests"] = {str(z): digest for z, digest in self.digests.items()}
        if self.partial:
            values["partial_slices"] = {str(z): dict(part) for z, part in self.partial.items()}
        said = {k: v for k, v in values.items() if v}
        numbers = {
            "z_axis": self.z_axis,
            "computed": self.computed,
            "depth": self.depth,
        }  # of which 0 says something
        return {METADATA_KEY: said | {k: v for k, v in numbers.items() if v is not None}}


def layer_marks(layer: Any, z: int | None = None) -> LayerMarks:
    """The marks of a layer; empty ones where it has none.

    Marks are numbers of slices: of a layer that was cropped, reordered or changed since, they count
    for nothing, and `doubt` says why.

    Parameters
    ----------
    layer : napari.layers.Image
    z : int, optional
        A slice that is compared in any case; without it only some of many are.
    """
    marks = stated_marks(layer)
    if not marks.marked:  # the reader may have found that they do not fit
        return replace(marks, doubt=str(marks.provenance.get(_LOST, "")))
    doubt = _doubt(layer, marks)
    if not doubt and z is not None and z in marks.digests:
        only = replace(marks, digests={z: marks.digests[z]})
        doubt = _changed(_finest(layer), _axis(layer, marks), only, 1)
    if not doubt:
        return marks
    return replace(marks, synthetic=(), partial={}, parents={}, digests={}, doubt=doubt)


def stated_marks(layer: Any) -> LayerMarks:
    """The marks in a layer's metadata, whether they fit it or not.

    What cannot be understood, such as what another program wrote, is not taken for "all real".
    """
    values = layer.metadata.get(METADATA_KEY)
    if not isinstance(values, Mapping):
        return LayerMarks()
    try:
        return _understood(values)
    except (TypeError, ValueError, AttributeError, ArithmeticError):
        return LayerMarks(provenance={_LOST: "they cannot be understood"})


def _understood(values: Mapping[str, Any]) -> LayerMarks:
    provenance, z_axis = values.get("provenance", {}), values.get("z_axis")
    numbers = (z_axis, values.get("computed"), values.get("depth"))
    if not isinstance(provenance, Mapping) or any(
        type(n) not in (int, type(None)) for n in numbers
    ):
        raise TypeError
    return LayerMarks(
        synthetic=tuple(int(z) for z in values.get("synthetic_slices", ())),
        provenance=provenance,
        source=str(values.get("source") or ""),
        dataset=str(values.get("dataset") or ""),
        format=str(values.get("format") or ""),
        z_axis=z_axis,
        source_layer=str(values.get("source_layer") or ""),
        source_index=tuple(int(i) for i in values.get("source_index", ())),
        start=Fraction(values.get("start", 0)),
        step=Fraction(values.get("step", 1)),
        parents={
            int(z): Parents(int(before), int(after), Fraction(fraction))
            for z, (before, after, fraction) in values.get("parents", {}).items()
        },
        computed=values.get("computed"),
        depth=values.get("depth"),
        digests={int(z): str(digest) for z, digest in values.get("digests", {}).items()},
        partial={int(z): dict(part) for z, part in values.get("partial_slices", {}).items()},
    )


def _doubt(layer: Any, marks: LayerMarks) -> str:
    """Why marks do not fit their layer; empty if they do."""
    from tsain_core.volumes import marks_fault

    data, axis = _finest(layer), _axis(layer, marks)
    if not 0 <= axis < layer.ndim - 2:
        return "they are for a stack, and it is none"
    if fault := marks_fault(marks.marked, marks.depth, data.shape[axis]):
        return fault
    if isinstance(data, np.ndarray):
        return _changed(data, axis, marks, _CHECKED)
    seen = _SEEN.get(layer)
    if seen is None or seen[0] is not data:
        seen = data, _changed(data, axis, marks, _CHECKED_LAZILY)
        _SEEN[layer] = seen
    return seen[1]


def _finest(layer: Any) -> Any:
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def _axis(layer: Any, marks: LayerMarks) -> int:
    return layer.ndim - 3 if marks.z_axis is None else marks.z_axis


def _changed(data: Any, axis: int, marks: LayerMarks, most: int) -> str:
    """Whether marked slices are other ones than those that were marked, by a few of them."""
    from tsain_core.volumes import changed_slice, middle_of

    def middle(z: int) -> Any:
        place: list[Any] = [0] * (data.ndim - 2)
        place[axis] = z
        return np.asarray(data[(*place, *middle_of(data.shape[-2:]))])

    return changed_slice(marks.digests, middle, most)


def z_axis_of(layer: Any) -> int:
    """The axis that z is: as marked, else the third from last."""
    return _axis(layer, stated_marks(layer))
