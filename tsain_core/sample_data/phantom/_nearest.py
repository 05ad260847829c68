"""Numba kernels: whose capsule is nearest to a point.

Capsules come as `start` (n, 3), `axis` (n, 3) from start to end, and `radius` (n, 2). A capsule
pulls at a point with d**1.5 - r**1.5, d the distance to its axis and r its radius there: zero at
the surface, negative inside. The exponent lies between 1, where a thick tube reaches with spikes
between thin ones, and 2 (the power diagram), where all borders are flat.
"""

from __future__ import annotations

from math import sqrt

import numba
import numpy as np


@numba.njit(inline="always")
def _axis(z, y, x, start, axis, radius, i):  # type: ignore[no-untyped-def]  # numba
    """Distance to the axis, radius there, and position along the axis, 0 to 1."""
    dz, dy, dx = z - start[i, 0], y - start[i, 1], x - start[i, 2]
    az, ay, ax = axis[i, 0], axis[i, 1], axis[i, 2]
    t = (dz * az + dy * ay + dx * ax) / max(az * az + ay * ay + ax * ax, 1e-9)
    t = min(max(t, 0.0), 1.0)
    dz, dy, dx = dz - t * az, dy - t * ay, dx - t * ax
    r = radius[i, 0] + t * (radius[i, 1] - radius[i, 0])
    return sqrt(dz * dz + dy * dy + dx * dx), r, t


@numba.njit(nogil=True, cache=True)
def pull_bounds(point, reach, start, axis, radius):  # type: ignore[no-untyped-def]  # numba
    """Least and greatest pull of all capsules within `reach` of a point, both (n,)."""
    least, greatest = np.empty(start.shape[0]), np.empty(start.shape[0])
    for i in range(start.shape[0]):
        d, r, _ = _axis(point[0], point[1], point[2], start, axis, radius, i)
        near, far = max(d - reach, 0.0), d + reach
        thin, thick = min(radius[i, 0], radius[i, 1]), max(radius[i, 0], radius[i, 1])
        least[i] = near * sqrt(near) - thick * sqrt(thick)
        greatest[i] = far * sqrt(far) - thin * sqrt(thin)
    return least, greatest


@numba.njit(nogil=True, cache=True)
def surface_distance(points, start, axis, radius):  # type: ignore[no-untyped-def]  # numba
    """Distance of each point to the surface of the capsules together, negative inside, (p,)."""
    result = np.full(points.shape[0], np.inf)
    for p in range(points.shape[0]):
        z, y, x = points[p, 0], points[p, 1], points[p, 2]
        for i in range(start.shape[0]):
            d, r, _ = _axis(z, y, x, start, axis, radius, i)
            result[p] = min(result[p], d - r)
    return result


@numba.njit(nogil=True, cache=True)
def nearest_two(points, start, axis, radius, cell):  # type: ignore[no-untyped-def]  # numba
    """The nearest capsule of each point, and the nearest of another cell.

    Returns their indices (2, p), pulls (2, p) and the positions along the axes (2, p).
    """
    count = points.shape[0]
    index = np.zeros((2, count), np.int64)
    pulls = np.full((2, count), np.inf)
    along = np.zeros((2, count))
    for p in range(count):
        z, y, x = points[p, 0], points[p, 1], points[p, 2]
        first, second, i1, i2, t1, t2 = np.inf, np.inf, 0, 0, 0.0, 0.0
        for i in range(start.shape[0]):
            d, r, t = _axis(z, y, x, start, axis, radius, i)
            pull = d * sqrt(d) - r * sqrt(r)
            if pull >= second:
                continue
            other = cell[i] != cell[i1]
            if pull < first:
                if other:
                    second, i2, t2 = first, i1, t1
                first, i1, t1 = pull, i, t
            elif other:
                second, i2, t2 = pull, i, t
        index[0, p], pulls[0, p], along[0, p] = i1, first, t1
        index[1, p], pulls[1, p], along[1, p] = i2, second, t2
    return index, pulls, along
