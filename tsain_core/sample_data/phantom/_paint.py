"""Stain density of structures in one section; densities add up, light is exp(-density)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import erf

from ._growth import Axis
from ._neurites import Territory, Tubes
from ._organelles import Cistern, Mitochondrion, Spheres, Synapse

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Placement:
    """Where the pixels of a section lie in the world, in pixels, and whose they are.

    Attributes
    ----------
    z : float
    y, x : ndarray (height, width)
        Bent coordinates: straight tubes of the world are drawn wavy.
    thickness : float
        Of the section.
    territory : Territory
    """

    z: float
    y: Array
    x: Array
    thickness: float
    territory: Territory

    def window(self, centre: Array, reach: float) -> tuple[slice, slice] | None:
        """Rows and columns in which something around `centre` (y, x) may be seen."""
        bend = 24.0  # the farthest that the coordinates are bent
        height, width = self.y.shape
        rows = max(0, int(centre[0] - reach - bend)), min(height, int(centre[0] + reach + bend))
        columns = max(0, int(centre[1] - reach - bend)), min(width, int(centre[1] + reach + bend))
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return None
        return slice(*rows), slice(*columns)


def cytoplasm(rng: np.random.Generator, cloud: Array, graininess: Array) -> Array:
    """Texture of the cytosol: clouds that go on in z, filaments and specks that do not."""
    fine = gaussian_filter(rng.standard_normal(cloud.shape), 1.0) * 3.5
    coarse = gaussian_filter(rng.standard_normal(cloud.shape), 2.2) * 7.8
    specks = np.clip(fine + 0.5 * coarse - 1.3, 0, None)
    return graininess * (0.055 * cloud + 0.05 * fine + 0.055 * coarse + 0.22 * specks)


def membranes(place: Placement, gap: Array) -> Array:
    """Two dark leaves with a cleft between, averaged over the thickness of the section.

    At distance t of the leaves' centres the profile is a sum of two Gaussians. A border with
    slope s passes t - sT/2 to t + sT/2 within a section of thickness T, and what is seen is the
    mean: an oblique membrane is wide and faint.
    """
    sigma, leaf = 1.0, 1.35 + 0.4 * np.clip(gap, -1.2, 2)
    depth = place.territory.depth
    half = np.maximum(np.abs(place.territory.slope) * place.thickness / 2, 0.05)
    scale = 1 / (np.sqrt(2) * sigma)
    total = np.zeros_like(depth)
    for side in (leaf, -leaf):
        total += erf((depth + half - side) * scale) - erf((depth - half - side) * scale)
    return 1.15 * total * sigma * np.sqrt(np.pi / 2) / (2 * half)


def _reached(place: Placement, tubes: Tubes) -> tuple[slice, slice] | None:
    """Window in which some tubes may be seen; None where the section misses them."""
    ends = np.concatenate([tubes.start, tubes.start + tubes.axis])
    thick = float(tubes.radius.max()) + place.thickness
    if not ends[:, 0].min() - thick < place.z < ends[:, 0].max() + thick:
        return None
    centre = (ends[:, 1:].min(axis=0) + ends[:, 1:].max(axis=0)) / 2
    return place.window(centre, float(np.ptp(ends[:, 1:], axis=0).max()) / 2 + thick)


def _layers(place: Placement, y: Array, x: Array, tubes: Tubes) -> list[tuple[float, Array]]:
    """Depth, and distance of points (p,) to the tubes' surface, at three depths of the section."""
    result = []
    for part in (-0.33, 0.0, 0.33):
        z = place.z + part * place.thickness
        points = np.stack([np.full(y.size, z), y, x], axis=1)
        result.append((z, tubes.surface_distance(points)))
    return result


def add_mitochondrion(density: Array, place: Placement, item: Mitochondrion, wave: Array) -> None:
    """Double membrane, dark matrix, cristae; kept inside its neurite."""
    cut = _reached(place, item.tubes)
    if cut is None:
        return
    depth = place.territory.depth[cut]
    own = (place.territory.cell[cut] == item.cell) & (depth > 3)
    if not own.any():
        return
    depth, bent, y, x = depth[own], wave[cut][own], place.y[cut][own], place.x[cut][own]
    across = y * item.lamella[1] + x * item.lamella[2]
    added, filled = np.zeros(y.shape), np.zeros(y.shape)
    for z, surface in _layers(place, y, x, item.tubes):
        e = np.maximum(surface + 1.2 * bent, 5.5 - depth)
        inside = 1 / (1 + np.exp(np.clip(2.5 * (e + 2.5), -40, 40)))
        stripe = np.cos(2 * np.pi * ((across + z * item.lamella[0]) / 7.5 + 0.45 * bent))
        cristae = 0.3 * np.clip(stripe, 0, None) ** 2 - 0.25 * np.clip(-stripe, 0, None) ** 3
        matrix = item.density + cristae * np.clip((-e - 4) / 3, 0, 1)
        outer = 0.6 * np.exp(-((e / 1.1) ** 2)) + 0.4 * np.exp(-(((e + 3.4) / 1.1) ** 2))
        added += (inside * matrix + outer) / 3
        filled += inside / 3
    # The matrix takes the place of most of the cytosol and its texture.
    density[cut][own] = density[cut][own] * (1 - 0.35 * filled) + added


def add_cistern(density: Array, place: Placement, item: Cistern) -> None:
    """One dark line round a light lumen; kept inside its neurite."""
    cut = _reached(place, item.tubes)
    if cut is None:
        return
    depth = place.territory.depth[cut]
    own = (place.territory.cell[cut] == item.cell) & (depth > 3)
    if not own.any():
        return
    depth, y, x = depth[own], place.y[cut][own], place.x[cut][own]
    added = np.zeros(y.shape)
    for _, surface in _layers(place, y, x, item.tubes):
        e = np.maximum(surface, 5 - depth)
        added += (0.5 * np.exp(-((e / 1.1) ** 2)) - 0.07 * (e < -1)) / 3
    density[cut][own] += added


def add_vesicles(density: Array, place: Placement, vesicles: Spheres) -> None:
    """Dark rings with a light core, or dense cores, as far as they lie in the section."""
    half = place.thickness / 2
    top = np.minimum(vesicles.centre[:, 0] + vesicles.radius, place.z + half)
    bottom = np.maximum(vesicles.centre[:, 0] - vesicles.radius, place.z - half)
    share = np.clip((top - bottom) / (2 * vesicles.radius), 0, 1)
    for i in np.flatnonzero(share > 0.1):
        _stamp(
            density,
            place,
            vesicles.centre[i, 1:],
            int(vesicles.cell[i]),
            float(vesicles.radius[i]),
            float(share[i]) * 0.55,
            bool(vesicles.dense[i]),
        )


def add_microtubules(density: Array, place: Placement, lines: list[Axis]) -> None:
    """Small rings where microtubules cross the section."""
    for line in lines:
        if line.nodes[0, 0] <= place.z <= line.nodes[-1, 0]:
            at = [np.interp(place.z, line.nodes[:, 0], line.nodes[:, k]) for k in (1, 2)]
            _stamp(density, place, np.array(at), line.cell, float(line.radius[0]), 0.3, False)


def _stamp(
    density: Array,
    place: Placement,
    centre: Array,
    cell: int,
    radius: float,
    strength: float,
    dense: bool,
) -> None:
    """Add a ring (or a disc) at `centre`, where the neurite `cell` is; light inside the ring."""
    # Organelles this small keep their shape: placed by the bend at their centre, not bent.
    row, column = round(centre[0]), round(centre[1])
    height, width = density.shape
    if not (0 <= row < height and 0 <= column < width):
        return
    y0 = centre[0] - (place.y[row, column] - row)
    x0 = centre[1] - (place.x[row, column] - column)
    reach = int(radius) + 4
    rows = slice(max(0, round(y0) - reach), max(0, round(y0) + reach + 1))
    columns = slice(max(0, round(x0) - reach), max(0, round(x0) + reach + 1))
    own = place.territory.cell[rows, columns] == cell
    own &= place.territory.depth[rows, columns] > 2.5
    if not own.any():
        return
    y = np.arange(rows.start, rows.start + own.shape[0])[:, None] - y0
    x = np.arange(columns.start, columns.start + own.shape[1]) - x0
    r = np.sqrt(y**2 + x**2)
    if dense:
        drawn = strength * 1.6 / (1 + np.exp(np.clip(2 * (r - radius * 0.75), -40, 40)))
    else:
        drawn = strength * np.exp(-(((r - radius + 0.6) / 1.15) ** 2))
        drawn -= 0.1 * strength * np.exp(-((r / (0.5 * radius)) ** 2))
    density[rows, columns] += np.where(own, drawn, 0)


def add_synapse(density: Array, place: Placement, synapse: Synapse) -> None:
    """Thick dark membrane, and on the side of the vesicles a T-bar."""
    reach = synapse.radius + 12
    if abs(place.z - synapse.centre[0]) > reach:
        return
    cut = place.window(synapse.centre[1:], reach)
    if cut is None:
        return
    y, x = place.y[cut] - synapse.centre[1], place.x[cut] - synapse.centre[2]
    z = place.z - synapse.centre[0]
    squared = y**2 + x**2 + z**2
    depth = place.territory.depth[cut]
    cell, neighbour = place.territory.cell[cut], place.territory.neighbour[cut]
    before = (cell == synapse.cell) & (neighbour == synapse.partner)
    after = (cell == synapse.partner) & (neighbour == synapse.cell)
    patch = np.exp(-((squared / synapse.radius**2) ** 2))
    cloud = np.exp(-((depth / np.where(before, 3.5, 5.5)) ** 2))
    density[cut] += patch * cloud * (before | after)
    lateral = np.clip(squared - depth**2, 0, None)
    bar = np.exp(-(((depth - 9.5) / 2.2) ** 2) - (lateral / 130) ** 2)
    foot = np.exp(-(lateral / 16)) * (depth < 10)
    density[cut] += 0.8 * np.maximum(bar, foot) * before
