"""Neurites: tubes that fill space, and the membranes where two of them meet.

Each neurite is a set of tapered capsules. A point belongs to the neurite that pulls at it most
(a weighted Voronoi diagram), so the tubes swell until they touch, as in dense neuropil.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._nearest import nearest_two, pull_bounds, surface_distance

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_TILE = 16


@dataclass(frozen=True)
class Tubes:
    """Capsules.

    Attributes
    ----------
    start, axis : ndarray (n, 3)
        One end, and the vector from it to the other, (z, y, x) in pixels.
    radius : ndarray (n, 2)
        At both ends, in pixels.
    cell : ndarray (n,) of int
        Neurite of each.
    """

    start: Array
    axis: Array
    radius: Array
    cell: Index

    def surface_distance(self, points: Array) -> Array:
        """Distance of points (p, 3) to the surface of all together, negative inside, (p,)."""
        result: Array = surface_distance(points, self.start, self.axis, self.radius)
        return result

    @classmethod
    def along(cls, nodes: Array, radius: Array, cell: int) -> Tubes:
        """The capsules between nodes (n, 3) with a radius at each, (n,)."""
        ends = np.stack([radius[:-1], radius[1:]], axis=1)
        return cls(nodes[:-1], np.diff(nodes, axis=0), ends, np.full(len(ends), cell, np.intp))

    @classmethod
    def joined(cls, parts: list[Tubes]) -> Tubes:
        """All capsules of several."""
        return cls(
            np.concatenate([part.start for part in parts]),
            np.concatenate([part.axis for part in parts]),
            np.concatenate([part.radius for part in parts]),
            np.concatenate([part.cell for part in parts]),
        )


@dataclass(frozen=True)
class Territory:
    """To whom the points of a set belong.

    Attributes
    ----------
    cell, neighbour : ndarray (...) of int
        Nearest and second nearest neurite.
    depth : ndarray (...)
        Distance to the border between the two, in pixels.
    slope : ndarray (...)
        z component of the border's unit normal, -1 to 1.
    """

    cell: Index
    neighbour: Index
    depth: Array
    slope: Array


def territory(tubes: Tubes, points: Array) -> Territory:
    """Whose the points (p, 3) are, all capsules compared."""
    found = nearest_two(points, tubes.start, tubes.axis, tubes.radius, tubes.cell)
    return _assemble(tubes, points, *found)


def territory_of_slice(tubes: Tubes, z: float, y: Array, x: Array) -> Territory:
    """Territory of a slice whose pixels lie at (z, y, x); `y` and `x` are (height, width).

    Goes by square tiles, each with the capsules that may matter somewhere in it.
    """
    height, width = y.shape
    points = np.stack([np.full(y.shape, z), y, x], axis=2)
    index = np.empty((2, height, width), np.intp)
    pull, along = np.empty((2, height, width)), np.empty((2, height, width))
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            rows, columns = slice(top, top + _TILE), slice(left, left + _TILE)
            here = points[rows, columns].reshape(-1, 3)
            near = _within_reach(tubes, here)
            found = nearest_two(
                here, tubes.start[near], tubes.axis[near], tubes.radius[near], tubes.cell[near]
            )
            shape = (2, *y[rows, columns].shape)
            index[:, rows, columns] = near[found[0]].reshape(shape)
            pull[:, rows, columns] = found[1].reshape(shape)
            along[:, rows, columns] = found[2].reshape(shape)
    return _assemble(tubes, points, index, pull, along)


def _within_reach(tubes: Tubes, points: Array) -> Index:
    """The capsules that may be nearest or second nearest at one of the points."""
    centre = points.mean(axis=0)
    reach = np.sqrt(((points - centre) ** 2).sum(axis=1).max())
    least, greatest = pull_bounds(centre, reach, tubes.start, tubes.axis, tubes.radius)
    strongest = tubes.cell[greatest.argmin()]
    second = greatest[tubes.cell != strongest].min()
    return np.flatnonzero(least <= second)


def _assemble(tubes: Tubes, points: Array, index: Index, pull: Array, along: Array) -> Territory:
    # The gradient of a pull d**1.5 is 1.5 * d**0.5 along the unit vector away from the axis.
    normal = _gradient(tubes, points, index[1], along[1])
    normal -= _gradient(tubes, points, index[0], along[0])
    steepness = np.maximum(np.sqrt((normal**2).sum(axis=-1)), 0.6)
    return Territory(
        cell=tubes.cell[index[0]],
        neighbour=tubes.cell[index[1]],
        depth=(pull[1] - pull[0]) / steepness,
        slope=normal[..., 0] / steepness,
    )


def _gradient(tubes: Tubes, points: Array, which: Index, along: Array) -> Array:
    """Gradient of the pull of one capsule a point, (..., 3)."""
    vector = points - tubes.start[which] - along[..., None] * tubes.axis[which]
    length = np.maximum(np.sqrt((vector**2).sum(axis=-1)), 1e-6)
    return vector * (1.5 / np.sqrt(length))[..., None]
