"""A section through the world: stain density of everything that lies in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import _paint as paint
from ._detector import slice_rng
from ._growth import grow_axes, to_tubes
from ._neurites import territory_of_slice
from ._noise import SmoothField
from ._organelles import (
    place_cisterns,
    place_microtubules,
    place_mitochondria,
    place_synapses,
    place_vesicles,
)

Array = NDArray[np.float64]

_LAYOUT, _FIELDS, _GRAIN = 0, 1, 2  # random streams


class World:
    """Neurites and organelles in continuous space, z in pixels like y and x.

    Parameters
    ----------
    shape : (int, int, int)
        Slices, rows, columns.
    seed : int
    z_step : float
        Pixels from slice to slice, and thickness of a section.
    """

    def __init__(self, shape: tuple[int, int, int], seed: int, z_step: float) -> None:
        self._step, self._seed = z_step, seed
        extent = ((shape[0] - 1) * z_step + 1, float(shape[1]), float(shape[2]))
        rng = np.random.default_rng([seed, _LAYOUT])
        axes = grow_axes(rng, extent)
        self._tubes = to_tubes(axes)
        cells = int(self._tubes.cell.max()) + 1
        kind = rng.random(cells)
        grey = np.clip(rng.normal(0.26, 0.05, cells), 0.14, 0.42)
        self._density = np.where(kind < 0.07, grey + rng.uniform(0.15, 0.3, cells), grey)
        self._graininess = np.where(kind < 0.07, 1.7, rng.uniform(0.55, 1.25, cells))
        wide = {a.cell for a in axes if a.radius.mean() > 15}
        boutons = np.array([c for c in sorted(wide) if kind[c] > 0.55], np.intp)
        self._mitochondria = place_mitochondria(rng, axes)
        self._cisterns = place_cisterns(rng, axes)
        self._synapses = place_synapses(rng, self._tubes, extent, boutons)
        self._vesicles = place_vesicles(rng, self._tubes, extent, boutons, self._synapses)
        self._microtubules = place_microtubules(rng, axes)
        fields = np.random.default_rng([seed, _FIELDS])
        self._bend = [SmoothField(fields, extent, spacing) for spacing in (46, 46, 15, 15)]
        self._cloud = SmoothField(fields, extent, 9.0)
        self._gap = SmoothField(fields, extent, 24.0)
        self._y, self._x = np.mgrid[: shape[1], : shape[2]].astype(np.float64)

    def section(self, depth: float) -> Array:
        """Transmission, 0 to 1, of the section at `depth` in slices, (y, x)."""
        z = depth * self._step
        coarse_y, coarse_x, fine_y, fine_x = (field.slice(z) for field in self._bend)
        y = self._y + 6.5 * coarse_y + 1.9 * fine_y
        x = self._x + 6.5 * coarse_x + 1.9 * fine_x
        place = paint.Placement(z, y, x, self._step, territory_of_slice(self._tubes, z, y, x))
        rng = slice_rng(self._seed, _GRAIN, depth)
        cell = place.territory.cell
        density = self._density[cell]
        density += paint.cytoplasm(rng, self._cloud.slice(z), self._graininess[cell])
        paint.add_microtubules(density, place, self._microtubules)
        paint.add_vesicles(density, place, self._vesicles)
        for cistern in self._cisterns:
            paint.add_cistern(density, place, cistern)
        for mitochondrion in self._mitochondria:
            paint.add_mitochondrion(density, place, mitochondrion, coarse_x)
        density += paint.membranes(place, self._gap.slice(z))
        for synapse in self._synapses:
            paint.add_synapse(density, place, synapse)
        return np.exp(-density)
