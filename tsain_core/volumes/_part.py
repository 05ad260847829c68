"""A part of a stack, as a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import TsainError, argument
from .volume import Volume


def part_of(
    volume: Volume, z_range: Sequence[int] | None = None, region: Sequence[int] | None = None
) -> Volume:
    """A part of a stack, at its place in the world and with its marks; read when it is used.

    Parameters
    ----------
    volume : Volume
    z_range : (first, end), optional
        Slices `first` to `end` - 1, counted from 0.
    region : (y0, y1, x0, x1), optional
        Rows `y0` to `y1` - 1 and columns `x0` to `x1` - 1.

    Raises
    ------
    TsainError
        If the stack does not reach so far, or nothing is left.
    """
    if z_range is None and region is None:
        return volume
    depth, height, width = volume.shape
    spans = [
        _span("z_range", "slices", tuple(z_range or (0, depth)), depth),
        _span("region", "rows", tuple((region or (0, height))[:2]), height),
        _span("region", "columns", tuple((region or (0, 0, 0, width))[2:]), width),
    ]
    z, y, x = (slice(*span) for span in spans)
    starts = [span[0] for span in spans]
    sides = volume.voxel_size or (None, None, None)
    offset = [o + n * (s or 0) for o, n, s in zip(volume.offset, starts, sides, strict=True)]
    first, end = spans[0]
    marked = {
        z - first: part.cropped(spans[1], spans[2])
        for z, part in volume.partial.items()
        if first <= z < end
    }
    whole = [0, height, 0, width] == [*spans[1], *spans[2]]
    note = {"z_range": list(spans[0]), "region": [*spans[1], *spans[2]]}
    missing = volume.missing_chunks
    return replace(
        volume,
        data=volume.data[z, y, x],
        offset=(offset[0], offset[1], offset[2]),
        synthetic=tuple(s - first for s in volume.synthetic if first <= s < end),
        partial={z: part for z, part in marked.items() if part is not None},
        # digests are of the middle of whole slices
        digests={s - first: d for s, d in volume.digests.items() if whole and first <= s < end},
        provenance={**volume.provenance, "part": note},
        missing_chunks=missing and missing.beginning_at(starts[0], starts[1], starts[2]),
    )


def _span(key: str, what: str, span: tuple[int, ...], size: int) -> tuple[int, int]:
    first, end = span
    if not 0 <= first < end <= size:
        raise TsainError(
            f"{what.capitalize()} {first} up to {end} were given, and the stack has {size}; two "
            f"numbers from 0 to {size} in ascending order are required: correct {argument(key)}."
        )
    return first, end
