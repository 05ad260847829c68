"""What lies inside the neurites: mitochondria, vesicles, microtubules, synapses, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._growth import Axis
from ._neurites import Territory, Tubes, territory

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Mitochondrion:
    """A bent sausage: its capsules, the neurite it lies in, and the lie of its cristae."""

    tubes: Tubes
    cell: int
    lamella: Array  # unit normal of the cristae, (z, y, x)
    density: float


@dataclass(frozen=True)
class Cistern:
    """A tube of endoplasmic reticulum: one thin membrane round a light lumen."""

    tubes: Tubes
    cell: int


@dataclass(frozen=True)
class Synapse:
    """A contact: centre on the membrane, neurite with the vesicles, the other, radius in pixels."""

    centre: Array
    cell: int
    partner: int
    radius: float


@dataclass(frozen=True)
class Spheres:
    """Vesicles: centres (n, 3), radii (n,), neurites (n,), and whether the core is dense (n,)."""

    centre: Array
    radius: Array
    cell: Index
    dense: NDArray[np.bool_]


def place_mitochondria(rng: np.random.Generator, axes: list[Axis]) -> list[Mitochondrion]:
    """Mitochondria along the axes of neurites that are wide enough for them."""
    placed = []
    for axis in axes:
        for _ in range(1 + int(axis.radius.max() > 28) + int(axis.radius.max() > 40)):
            length = int(rng.integers(2, 7))
            if rng.random() > 0.5:
                continue
            tubes = _inside(rng, axis, length, (0.42, 0.62), (7, 21))
            if tubes is None:
                continue
            normal = rng.standard_normal(3) * np.array([0.35, 1, 1])
            normal /= np.sqrt((normal**2).sum())
            placed.append(Mitochondrion(tubes, axis.cell, normal, rng.uniform(0.45, 0.8)))
    return placed


def place_cisterns(rng: np.random.Generator, axes: list[Axis]) -> list[Cistern]:
    """Endoplasmic reticulum along some axes, thinner than mitochondria and more off the middle."""
    placed = []
    for axis in axes:
        for _ in range(int(rng.integers(0, 2 + int(axis.radius.max() / 12)))):
            tubes = _inside(rng, axis, int(rng.integers(1, 6)), (0.08, 0.22), (2.5, 7))
            if tubes is not None:
                placed.append(Cistern(tubes, axis.cell))
    return placed


def _inside(
    rng: np.random.Generator,
    axis: Axis,
    length: int,
    share: tuple[float, float],
    limits: tuple[float, float],
) -> Tubes | None:
    """A tube along some nodes of an axis, with a share of its radius; None where it is thin."""
    room = np.flatnonzero(axis.radius[:-1] > 12)
    if not room.size:
        return None
    first = int(rng.choice(room))
    nodes = axis.nodes[first : first + length + 1].copy()
    host = axis.radius[first : first + length + 1].min()
    thick = np.clip(rng.uniform(*share) * host, *limits)
    angle, off = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
    side = off * max(host - thick - 6, 0)
    nodes[:, 1:] += side * np.array([np.sin(angle), np.cos(angle)])
    return Tubes.along(nodes, thick * np.exp(rng.normal(0, 0.1, len(nodes))), axis.cell)


def _sample(
    rng: np.random.Generator, tubes: Tubes, extent: tuple[float, ...], count: int
) -> tuple[Array, Territory]:
    """Random points of the world, and whose they are."""
    points = rng.random((count, 3)) * np.array(extent)
    return points, territory(tubes, points)


def place_synapses(
    rng: np.random.Generator, tubes: Tubes, extent: tuple[float, ...], boutons: Index
) -> list[Synapse]:
    """Contacts on membranes of the boutons, not where those run in the plane of the slices."""
    volume = float(np.prod(extent))
    points, found = _sample(rng, tubes, extent, int(min(9000, 600 + volume / 2500)))
    fit = np.isin(found.cell, boutons) & (found.depth < 3) & (np.abs(found.slope) < 0.5)
    synapses: list[Synapse] = []
    for i in np.flatnonzero(fit):
        distances = [np.sqrt(((points[i] - s.centre) ** 2).sum()) for s in synapses]
        pair = int(found.cell[i]), int(found.neighbour[i])
        if min(distances, default=np.inf) > 75:
            synapses.append(Synapse(points[i], *pair, rng.uniform(18, 32)))
    return synapses


def place_vesicles(
    rng: np.random.Generator,
    tubes: Tubes,
    extent: tuple[float, ...],
    boutons: Index,
    synapses: list[Synapse],
) -> Spheres:
    """Vesicles: dense around the synapses, loose in the rest of the boutons, rare elsewhere."""
    volume = float(np.prod(extent))
    loose = rng.random((int(volume / 2600), 3)) * np.array(extent)
    near = [
        s.centre + rng.normal(0, (22, 26, 26), (int(rng.integers(60, 190)), 3)) for s in synapses
    ]
    points = np.concatenate([loose, *near])
    found = territory(tubes, points)
    inside = np.isin(found.cell, boutons) | (rng.random(len(points)) < 0.03)
    chosen = np.flatnonzero(inside & (found.depth > 6))
    dense = rng.random(len(chosen)) < 0.035
    radius = np.where(dense, rng.uniform(4, 6, len(chosen)), rng.normal(3.7, 0.35, len(chosen)))
    return Spheres(points[chosen], radius, found.cell[chosen], dense)


def place_microtubules(rng: np.random.Generator, axes: list[Axis]) -> list[Axis]:
    """Microtubules along the axes that cross the slices: thin lines, a few to each neurite."""
    lines = []
    seen: set[int] = set()
    for axis in axes:
        if axis.cell in seen or np.any(np.diff(axis.nodes[:, 0]) <= 0):
            continue
        seen.add(axis.cell)
        for _ in range(min(14, int(rng.uniform(0.2, 1.2) * axis.radius.mean() ** 2 / 45))):
            angle, share = rng.uniform(0, 2 * np.pi), 0.75 * np.sqrt(rng.random())
            offset = share * np.array([np.sin(angle), np.cos(angle)])
            nodes = axis.nodes.copy()
            nodes[:, 1:] += axis.radius[:, None] * offset
            lines.append(Axis(axis.cell, nodes, np.full(len(nodes), 2.4)))
    return lines
