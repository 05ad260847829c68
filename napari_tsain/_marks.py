"""What a layer says of its slices: which were computed, by what, and from where.

It stands as JSON-able values in ``layer.metadata["tsain"]``, so that it survives copying, saving
with napari's own tools, and layers made in scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

#: Key in a layer's metadata.
METADATA_KEY = "tsain"
#: Key of layers that are ours and no stacks: previews, points, maps.
HELPER_KEY = "tsain_helper"


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
        said = {k: v for k, v in values.items() if v}
        numbers = {"z_axis": self.z_axis, "computed": self.computed}  # of which 0 says something
        return {METADATA_KEY: said | {k: v for k, v in numbers.items() if v is not None}}


def layer_marks(layer: Any) -> LayerMarks:
    """The marks of a layer; empty ones where it has none."""
    values = layer.metadata.get(METADATA_KEY)
    if not isinstance(values, Mapping):
        return LayerMarks()
    return LayerMarks(
        synthetic=tuple(int(z) for z in values.get("synthetic_slices", ())),
        provenance=values.get("provenance", {}),
        source=str(values.get("source") or ""),
        dataset=str(values.get("dataset") or ""),
        format=str(values.get("format") or ""),
        z_axis=values.get("z_axis"),
        source_layer=str(values.get("source_layer") or ""),
        source_index=tuple(int(i) for i in values.get("source_index", ())),
        start=Fraction(values.get("start", 0)),
        step=Fraction(values.get("step", 1)),
        parents={
            int(z): Parents(int(before), int(after), Fraction(fraction))
            for z, (before, after, fraction) in values.get("parents", {}).items()
        },
        computed=values.get("computed"),
    )


def z_axis_of(layer: Any) -> int:
    """The axis that z is: as marked, else the third from last."""
    marked = layer_marks(layer).z_axis
    return layer.ndim - 3 if marked is None else marked
