"""What every format carries of ours: which slices are synthetic, and how they were made."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ..errors import TsainError
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


def read_marks(values: Any, name: str) -> Marks:
    """Inverse of `Marks.to_json`, from the object or its text; no marks for None.

    Raises
    ------
    TsainError
        If there is something that is not ours: slices must not pass as acquired by mistake.
    """
    if values is None:
        return Marks()
    try:
        values = json.loads(values) if isinstance(values, (str, bytes)) else values
        offset = values.get("offset")
        return Marks(
            tuple(int(z) for z in values.get("synthetic_slices", ())),
            dict(values.get("provenance", {})),
            (float(offset[0]), float(offset[1]), float(offset[2])) if offset else None,
        )
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise TsainError(
            f"{name} has damaged marks of computed slices under {MARKS_KEY!r}; needed is what "
            "this program wrote there: copy the file again, or remove that entry."
        ) from error
