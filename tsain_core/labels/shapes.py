"""Labels between two labelled slices, by the shapes of the objects.

Shape-based interpolation (Raya and Udupa 1990): each object is turned into the signed distance of
each pixel from its outline, positive inside; the distances are averaged, and each pixel gets the
label with the largest one. The background is what no object reaches, where one of the slices has
it; elsewhere the nearest object fills it. An object that does not overlap with itself in the other
slice is moved along, centre to centre, before (Herman, Zheng and Bucholtz 1992). One that is in one
slice only gets smaller, and ends half-way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[Any]
Bits = NDArray[np.bool_]
Floats = NDArray[np.float32]
#: (first row, end, first column, end).
Box = tuple[int, int, int, int]


def labels_between(before: Labels, after: Labels, fraction: float) -> Labels:
    """The labels at `fraction` of the way from one labelled slice to the next.

    Parameters
    ----------
    before, after : ndarray of integers or bool (y, x)
    fraction : float
        0 to 1.

    Returns
    -------
    ndarray (y, x)
        Of the same dtype; has no label that neither slice has.
    """
    if fraction <= 0 or np.array_equal(before, after):
        return before.copy()
    if fraction >= 1:
        return after.copy()
    boxes = [_boxes(image) for image in (before, after)]
    result = (before if fraction < 0.5 else after).copy()
    best = np.full(before.shape, -np.inf, np.float32)
    for label in sorted((boxes[0].keys() | boxes[1].keys()) - {0}):
        box = _hull(boxes[0].get(label), boxes[1].get(label), before.shape)
        y, x = slice(box[0], box[1]), slice(box[2], box[3])
        distance = _between(before[y, x] == label, after[y, x] == label, fraction)
        wins = distance > best[y, x]
        best[y, x][wins] = distance[wins]
        result[y, x][wins] = label
    result[(best <= 0) & ((before == 0) | (after == 0))] = 0
    return result


def _boxes(image: Labels) -> Mapping[Any, Box]:
    """The box round each label."""
    from scipy.ndimage import find_objects

    found, numbers = np.unique(image, return_inverse=True)
    places = find_objects(numbers.reshape(image.shape).astype(np.int32) + 1)
    return {
        label: (y.start, y.stop, x.start, x.stop)
        for label, (y, x) in zip(found, places, strict=True)
    }


def _hull(first: Box | None, second: Box | None, shape: tuple[int, ...]) -> Box:
    """A box round both with a pixel on each side, as far as the slice reaches."""
    known = [box for box in (first, second) if box is not None]
    return (
        max(0, min(b[0] for b in known) - 1),
        min(shape[0], max(b[1] for b in known) + 1),
        max(0, min(b[2] for b in known) - 1),
        min(shape[1], max(b[3] for b in known) + 1),
    )


def _between(before: Bits, after: Bits, fraction: float) -> Floats:
    """Signed distance of an object at `fraction` of the way."""
    if not before.any() or not after.any():
        there = before if before.any() else after
        share = 1 - fraction if before.any() else fraction
        distance = _signed(there)
        ends: Floats = share * distance - (1 - share) * distance.max()
        return ends
    first, second = _signed(before), _signed(after)
    if not (before & after).any():
        start, end = (np.argwhere(bits).mean(0) for bits in (before, after))
        first = _moved(first, fraction * (end - start))
        second = _moved(second, (fraction - 1) * (end - start))
    return (1 - fraction) * first + fraction * second


def _signed(bits: Bits) -> Floats:
    """Distance in pixels from the outline, which lies between pixels: positive inside."""
    from scipy.ndimage import distance_transform_edt

    if bits.all():
        return np.full(bits.shape, max(bits.shape), np.float32)
    inside, outside = (distance_transform_edt(part) for part in (bits, ~bits))
    signed: Floats = np.where(bits, inside - 0.5, 0.5 - outside).astype(np.float32)
    return signed


def _moved(distance: Floats, by: NDArray[np.float64]) -> Floats:
    """Moved down and right by whole pixels; what comes in from beyond is far outside."""
    result = np.full_like(distance, -max(distance.shape))
    spans = []
    for side, length in zip(np.rint(by).astype(int), distance.shape, strict=True):
        to = slice(max(0, side), max(0, min(length, length + side)))
        spans.append((to, slice(to.start - side, to.stop - side)))
    result[spans[0][0], spans[1][0]] = distance[spans[0][1], spans[1][1]]
    return result
