"""Which parts of damaged slices are damaged: those that differ most from both neighbours."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ..volumes import Volume
from .mask import RepairMask

Bits = NDArray[np.bool_]
Floats = NDArray[np.float32]
Image = NDArray[Any]

_SMOOTH = 5.0  # sigma in pixels: single pixels differ by noise
_EXCESS = 1.4  # times as different as most of the slice is
_SEED = 2.0  # a part reaches this somewhere
_SMALLEST = 100  # pixels; smaller parts are left alone
_TEXTURE = 2.0  # sigma in pixels of what is compared outside the parts
_LEAST = 0.5  # of the contrast and of the likeness of the neighbours that is left there
_GROWN = 4  # pixels that a part is made larger on all sides
_MOST = 0.6  # of a slice; where more is damaged, all of it is recomputed


@dataclass(frozen=True)
class Searched:
    """Progress: slices that were searched."""

    done: int
    total: int


def find_parts(volume: Volume, damaged: Sequence[int]) -> Generator[Searched, None, RepairMask]:
    """The damaged parts of slices that are known to be damaged.

    A part is where a slice differs from the mean of its nearest undamaged neighbours much more than
    elsewhere. All of a slice is masked where no part stands out, most of it does, or the rest does
    not go with the neighbours.

    Parameters
    ----------
    volume : Volume
    damaged : sequence of int

    Yields
    ------
    Searched
        After each slice.

    Returns
    -------
    RepairMask

    Raises
    ------
    TsainError
        If no slice is given, or one has no undamaged slice on both sides.
    """
    if not damaged:
        raise TsainError(
            "No slice is known to be damaged; at least one is required to look for damaged parts: "
            "name it, or give a mask."
        )
    bad, depth = set(damaged), volume.shape[0]
    found: dict[int, Bits] = {}
    for i, z in enumerate(sorted(bad)):
        before = next((b for b in range(z - 1, -1, -1) if b not in bad), None)
        after = next((a for a in range(z + 1, depth) if a not in bad), None)
        if not 0 <= z < depth or before is None or after is None:
            raise TsainError(
                f"Slice {z} is to be repaired, but has no undamaged slice on both sides; the stack "
                f"has slices 0 to {depth - 1}: leave it out."
            )
        found[z] = damaged_part(volume[z], volume[before], volume[after])
        never = volume.missing(volume[z], z)
        if never is not None:
            found[z] |= never
        yield Searched(i + 1, len(bad))
    return RepairMask(volume.shape, found)


def damaged_part(image: Image, before: Image, after: Image) -> Bits:
    """Pixels (y, x) of a slice that differ from its neighbours much more than others do."""
    from scipy.ndimage import binary_closing, binary_dilation, label

    unknown = ~np.isfinite(image)
    here, first, second = (_finite(slice_) for slice_ in (image, before, after))
    difference: Floats = here - np.float32(0.5) * (first + second)
    difference -= np.float32(np.median(difference))
    unlike = _local(difference)
    usual = np.maximum(_local(first - second), float(np.median(unlike))) + np.float32(1e-6)
    ratio = unlike / usual
    parts, _ = label(binary_closing(ratio > _EXCESS, np.ones((3, 3)), 2) | unknown)
    sizes = np.bincount(parts.ravel())
    strong = np.unique(parts[(ratio > _SEED) | unknown])
    kept = np.zeros(len(sizes), bool)
    kept[strong] = sizes[strong] >= _SMALLEST
    kept[0] = False
    mask: Bits = kept[parts] | unknown
    if not mask.any() or mask.mean() > _MOST or not _rest_is_sound(here, first, second, ~mask):
        return np.ones_like(mask)
    grown: Bits = binary_dilation(mask, np.ones((3, 3)), _GROWN)
    return grown


def _rest_is_sound(here: Floats, first: Floats, second: Floats, rest: Bits) -> bool:
    """Whether the rest of a slice goes with its neighbours about as well as they do together."""
    from scipy.ndimage import gaussian_filter

    smooth = [gaussian_filter(s, _TEXTURE)[rest] for s in (here, first, second)]
    spread = [float(s.std()) for s in smooth]
    if spread[0] < _LEAST * max(spread[1:]):
        return False
    likeness = np.corrcoef([*smooth, np.add(smooth[1], smooth[2])])
    return bool(likeness[0, 3] >= _LEAST * likeness[1, 2])


def _finite(image: Image) -> Floats:
    values = np.asarray(image, np.float32)
    known = np.isfinite(values)
    if known.all():
        return values
    middle = np.median(values[known]) if known.any() else 0
    return np.where(known, values, np.float32(middle))


def _local(difference: Floats) -> Floats:
    """Root of the mean square round each pixel."""
    from scipy.ndimage import gaussian_filter

    root: Floats = np.sqrt(np.maximum(gaussian_filter(difference**2, _SMOOTH), 0))
    return root
