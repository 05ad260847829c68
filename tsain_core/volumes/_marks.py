"""What every format carries of ours: which slices are synthetic, and how they were made.

Marks are numbers of slices. They are wrong as soon as slices are cropped, reordered or replaced by
a program that copies the metadata, so they carry what they were written for: the number of slices,
and a digest of each computed one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, warn
from ..system.records import Record, RecordError
from ._partial import PartlyComputed, partial_to_json
from .volume import Triple, Volume

#: Name of the attribute, annotation or namespace that holds the marks.
MARKS_KEY = "tsain"
#: Key in the provenance of a volume whose marks no longer fit it: the reason.
LOST = "marks_lost"


#: Side of the middle of a slice that its digest is taken of, in pixels.
_DIGESTED = 64
#: Computed slices of a file that are compared with their digests: at most, and at least.
_COMPARED, _LEAST_COMPARED = 64, 3
#: Voxels that may be read to compare more than the least.
_READ = 64 << 20


def slice_digest(image: NDArray[Any]) -> str:
    """Digest of a slice (y, x) by the grey values of its middle, of whatever dtype.

    Returns
    -------
    str
        8 hexadecimal digits.
    """
    middle = image[middle_of(image.shape)]
    return f"{zlib.crc32(np.ascontiguousarray(middle, dtype='<f8').tobytes()):08x}"


def middle_of(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Index (y, x) of what a digest is taken of: the middle of slices of that shape."""
    starts = [max(0, (n - _DIGESTED) // 2) for n in shape]
    return tuple(slice(start, start + _DIGESTED) for start in starts)


def changed_slice(
    digests: Mapping[int, str], middle: Callable[[int], NDArray[Any]], most: int
) -> str:
    """Which computed slice is not the one that was marked; empty if none of those compared is.

    Parameters
    ----------
    digests : mapping
        z of a computed slice -> its digest.
    middle : callable
        Takes z, returns `middle_of` that slice (y, x).
    most : int
        Slices that are compared, spread over the stack.
    """
    known = sorted(digests)
    for z in known[:: max(1, -(-len(known) // most))]:
        if slice_digest(middle(z)) != digests[z]:
            return f"slice {z} is not the one that was computed"
    return ""


def with_true_marks(volume: Volume, name: str, finest: Volume | None = None) -> Volume:
    """The volume without its marks, and a warning, if its slices are not those that were marked.

    Parameters
    ----------
    volume : Volume
        Of any format; one without digests is returned as it is.
    name : str
        For the warning.
    finest : Volume, optional
        The full resolution, which the digests are of, where `volume` is a coarser level.

    Notes
    -----
    Some marked slices are read, few where that takes long. One that cannot be read tells nothing.
    """
    if not volume.digests:
        return volume
    full = finest or volume
    y, x = middle_of(full.shape[1:])
    planes = [-(-_DIGESTED // n) + 1 for n in full.chunks[1:]]
    cost = prod(
        min(n * c, s) for n, c, s in zip(planes, full.chunks[1:], full.shape[1:], strict=True)
    )
    most = min(_COMPARED, max(_LEAST_COMPARED, _READ // max(1, cost * full.chunks[0])))
    if "://" in full.source:
        most = _LEAST_COMPARED
    why = ""
    with suppress(TsainError):
        why = changed_slice(volume.digests, lambda z: full.read(slice(z, z + 1), y, x)[0], most)
    if not why:
        if finest is None:
            return volume
        return replace(volume, digests={}, partial=_in_level(volume, finest))
    _warn_of_loss(name, why)
    return replace(
        volume, synthetic=(), partial={}, provenance={**volume.provenance, LOST: why}, digests={}
    )


def _in_level(volume: Volume, finest: Volume) -> dict[int, PartlyComputed]:
    """Marks of the finest level of a pyramid, in pixels of a coarser one."""
    y, x = (f / n for f, n in zip(finest.shape[1:], volume.shape[1:], strict=True))
    return {z: part.scaled(y, x) for z, part in volume.partial.items()}


def _warn_of_loss(name: str, why: str) -> None:
    warn(
        f"{name} has marks of computed slices that do not fit it ({why}): slices were cropped, "
        "added or changed since, so which of them are computed is not known; interpolate the "
        "original again to have marks."
    )


def marks_fault(synthetic: tuple[int, ...], stated: int | None, depth: int) -> str:
    """Why marks of computed slices do not fit a stack; empty if they do.

    Parameters
    ----------
    synthetic : tuple of int
        The marked slices.
    stated : int or None
        Number of slices that the marks were written for.
    depth : int
        Number of slices of the stack.
    """
    if stated is not None and synthetic and stated != depth:
        return f"they were written for {stated} slices, and there are {depth}"
    outside = [z for z in synthetic if not 0 <= z < depth]
    return f"they name slice {outside[0]}, and there are {depth}" if outside else ""


@dataclass(frozen=True)
class Marks:
    """Marks of a volume.

    Attributes
    ----------
    synthetic : tuple of int
        z indices of computed slices.
    partial : dict
        z of a slice that is real but for some pixels -> which ones.
    provenance : dict
        How they were computed; JSON-able.
    offset : (z, y, x) or None
        Only where the format has no place of its own for it.
    depth : int or None
        Number of slices of the volume that was marked.
    digests : dict
        z of a computed slice -> `slice_digest` of it, where the format could take it.
    """

    synthetic: tuple[int, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    offset: Triple | None = None
    depth: int | None = None
    digests: Mapping[int, str] = field(default_factory=dict)
    partial: Mapping[int, PartlyComputed] = field(default_factory=dict)

    @property
    def computed(self) -> tuple[int, ...]:
        """z indices of slices that were computed, as a whole or in part."""
        return tuple(sorted({*self.synthetic, *self.partial}))

    def trusted(self, depth: int, name: str) -> Marks:
        """These marks if they fit a volume of `depth` slices; else none, and a warning."""
        why = marks_fault(self.computed, self.depth, depth)
        if not why:
            return self
        _warn_of_loss(name, why)
        return Marks(provenance={**self.provenance, LOST: why}, offset=self.offset)

    def fields(self, depth: int, name: str) -> dict[str, Any]:
        """The fields of a `Volume` of `depth` slices that come from its marks, if they fit it."""
        marks = self.trusted(depth, name)
        return {
            "synthetic": marks.synthetic,
            "partial": dict(marks.partial),
            "provenance": marks.provenance,
            "digests": dict(marks.digests),
        }

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        values: dict[str, Any] = {
            "synthetic_slices": list(self.synthetic),
            "provenance": self.provenance,
        }
        if self.partial:
            values["partial_slices"] = partial_to_json(self.partial)
        if self.offset:
            values["offset"] = list(self.offset)
        if self.depth is not None:
            values["depth"] = self.depth
        if self.digests:
            values["digests"] = {str(z): digest for z, digest in self.digests.items()}
        return values


@dataclass(frozen=True)
class _StoredMarks(Record):
    """Marks as `Marks.to_json` writes them."""

    synthetic_slices: tuple[int, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    offset: Triple | None = None
    depth: int | None = None
    digests: dict[int, str] = field(default_factory=dict)
    partial_slices: dict[int, PartlyComputed] = field(default_factory=dict)

    #: newer versions may say more
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        **Record.__pydantic_config__,
        "extra": "ignore",
    }


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
        from_text = isinstance(values, (str, bytes))
        stored = _StoredMarks.from_text(values) if from_text else _StoredMarks.from_json(values)
    except RecordError as error:
        raise TsainError(
            f"{name} has damaged marks of computed slices under {MARKS_KEY!r} ({error}); expected "
            "what this program wrote there: copy the file again, or remove that entry."
        ) from error
    return Marks(
        stored.synthetic_slices,
        stored.provenance,
        stored.offset,
        stored.depth,
        stored.digests,
        stored.partial_slices,
    )
