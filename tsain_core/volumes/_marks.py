"""What every format carries of ours: which slices are synthetic, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .volume import Triple

#: Name of the attribute, annotation or namespace that holds the marks.
MARKS_KEY = "tsain"


@dataclass(frozen=True)
class Marks:
    """Marks of a volume; `offset` only where the format has no place of its own for it."""

    synthetic: tuple[int, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    offset: Triple | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        values: dict[str, Any] = {
            "synthetic_slices": list(self.synthetic),
            "provenance": self.provenance,
        }
        return values | ({"offset": list(self.offset)} if self.offset else {})


def marks_from_json(values: Any) -> Marks:
    """Inverse of `Marks.to_json`; no marks for anything that is not ours."""
    if not isinstance(values, dict):
        return Marks()
    offset = values.get("offset")
    return Marks(
        tuple(int(z) for z in values.get("synthetic_slices", ())),
        dict(values.get("provenance", {})),
        (float(offset[0]), float(offset[1]), float(offset[2])) if offset else None,
    )
