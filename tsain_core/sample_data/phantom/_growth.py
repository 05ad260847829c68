"""How the neurites of a phantom run: calibres, places, directions, swellings, branches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._neurites import Tubes

Array = NDArray[np.float64]

_MARGIN = 90.0  # pixels around the world, from which neurites come in
_PITCH = 20.0  # pixels between the nodes of an axis


@dataclass(frozen=True)
class Axis:
    """Axis of a neurite: nodes (n, 3) as (z, y, x) in pixels, and the radius at each, (n,)."""

    cell: int
    nodes: Array
    radius: Array


def grow_axes(rng: np.random.Generator, extent: tuple[float, float, float]) -> list[Axis]:
    """Lay out neurites through a world of `extent` (z, y, x) pixels.

    The first axis of each cell is the main one; others of the same cell are companions, which
    make profiles that are not round, and branches.
    """
    axes: list[Axis] = []
    for cell, (place, radius) in enumerate(_places(rng, extent)):
        main = _through(rng, cell, place, radius, extent)
        axes.append(main)
        if rng.random() < 0.5:
            axes.append(_companion(rng, main))
        if rng.random() < 0.2:
            axes.append(_branch(rng, main))
    count = len({axis.cell for axis in axes})
    area = (extent[1] + 2 * _MARGIN) * (extent[2] + 2 * _MARGIN) * extent[0]
    for cell in range(count, count + int(area / 4.0e5)):
        axes.append(_lying(rng, cell, extent))
    return axes


def to_tubes(axes: list[Axis]) -> Tubes:
    """The capsules between the nodes of all axes."""
    return Tubes.joined([Tubes.along(axis.nodes, axis.radius, axis.cell) for axis in axes])


def _places(
    rng: np.random.Generator, extent: tuple[float, float, float]
) -> list[tuple[Array, float]]:
    """Centres (y, x) and radii in the middle plane, big ones first, small ones in the gaps."""
    size = np.array([extent[1], extent[2]]) + 2 * _MARGIN
    wanted = int(size[0] * size[1] / 330)
    radii = np.sort(np.clip(np.exp(rng.normal(np.log(11.5), 0.62, wanted)), 5, 52))[::-1]
    taken = np.empty((0, 2))
    sizes = np.empty(0)
    for radius in radii:
        tries = rng.random((12, 2)) * size - _MARGIN
        away = np.sqrt(((tries[:, None] - taken) ** 2).sum(axis=2)) - 0.92 * sizes
        free = np.flatnonzero(away.min(axis=1, initial=np.inf) > 0.92 * radius)
        if free.size:
            taken = np.concatenate([taken, tries[free[:1]]])
            sizes = np.append(sizes, radius)
    return [(place, float(radius)) for place, radius in zip(taken, sizes, strict=True)]


def _walk(rng: np.random.Generator, count: int, strength: float) -> Array:
    """A smooth random curve (count, 2), which starts anywhere and leans now here, now there."""
    steps = rng.standard_normal((count + 6, 2))
    smooth = np.stack([np.convolve(s, np.ones(7) / np.sqrt(7), mode="valid") for s in steps.T], 1)
    return np.cumsum(smooth, axis=0) * strength


def _calibre(rng: np.random.Generator, count: int, radius: float) -> Array:
    """Radius along an axis: slow changes, and a swelling here and there."""
    steps = rng.standard_normal(count + 4)
    smooth = np.convolve(steps, np.ones(5) / np.sqrt(5), mode="valid")
    result = radius * np.exp(0.22 * smooth)
    if radius < 14 and rng.random() < 0.35:
        at = rng.integers(count)
        result *= 1 + 1.3 * np.exp(-(((np.arange(count) - at) / 1.6) ** 2))
    return np.clip(result, 3.5, 66)


def _through(
    rng: np.random.Generator, cell: int, place: Array, radius: float, extent: tuple[float, ...]
) -> Axis:
    """A neurite that passes the middle plane at `place`, thin ones more tilted than thick ones."""
    z = np.arange(-2 * _PITCH, extent[0] + 3 * _PITCH, _PITCH)
    tilt = np.abs(rng.normal(0, 0.36)) * min(1.0, 16 / radius) ** 0.5
    angle = rng.uniform(0, 2 * np.pi)
    drift = tilt * np.array([np.sin(angle), np.cos(angle)])
    course = (z - extent[0] / 2)[:, None] * drift + _walk(rng, len(z), 1.9)
    course += place - course[len(z) // 2]
    return Axis(cell, np.column_stack([z, course]), _calibre(rng, len(z), radius))


def _companion(rng: np.random.Generator, main: Axis) -> Axis:
    """A thinner tube beside the axis, which turns about it."""
    count = len(main.radius)
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.16, count))
    offset = np.stack([np.zeros(count), np.sin(angle), np.cos(angle)], axis=1)
    share = rng.uniform(0.45, 0.75)
    reach = rng.uniform(0.7, 1.1)
    nodes = main.nodes + offset * (reach * main.radius)[:, None]
    return Axis(main.cell, nodes, np.maximum(share * main.radius, 3.0))


def _branch(rng: np.random.Generator, main: Axis) -> Axis:
    """A side branch that leaves the axis within the world."""
    at = int(rng.integers(2, len(main.radius) - 2))
    direction = rng.standard_normal(3)
    direction[0] = np.copysign(0.6 + abs(direction[0]), direction[0])
    direction /= np.sqrt((direction**2).sum())
    count = 6
    nodes = main.nodes[at] + np.arange(count)[:, None] * _PITCH * direction
    nodes[:, 1:] += _walk(rng, count, 1.2) * np.linspace(0, 1, count)[:, None]
    thick = np.linspace(0.75, 0.35, count) * main.radius[at]
    return Axis(main.cell, nodes, np.clip(thick, 4, 16))


def _lying(rng: np.random.Generator, cell: int, extent: tuple[float, ...]) -> Axis:
    """A neurite that runs more or less in the plane of the slices."""
    count = int((max(extent[1:]) + 2 * _MARGIN) / _PITCH)
    angle = rng.uniform(0, 2 * np.pi)
    rise = rng.uniform(-0.3, 0.3)
    direction = np.array([rise, np.sin(angle), np.cos(angle)])
    middle = rng.random(3) * np.array(extent)
    nodes = middle + (np.arange(count) - count / 2)[:, None] * _PITCH * direction
    nodes[:, 1:] += _walk(rng, count, 2.0)
    nodes[:, 0] += _walk(rng, count, 1.0)[:, 0]
    return Axis(cell, nodes, _calibre(rng, count, rng.uniform(5, 14)))
