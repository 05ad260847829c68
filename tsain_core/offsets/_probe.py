"""Answering where a network sampled for a pixel, from a tile round it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from ..inference.cost import offset_reach, sampling_radius
from ..inference.models import Image, NetworkModel
from ..inference.region import Region, ceil_to
from ..interpolation.schedule import halvings, reachable_fraction
from ..network import Sampling, SamplingPoints
from ._points import Field, QueryPoints, field_of

#: Side in pixels of the part of a query's tile that later queries are answered from.
CORE = 96


@dataclass(frozen=True)
class Fields:
    """All sampling fields of a tile, of which those within `core` can be trusted."""

    core: Region
    rsab: tuple[Field, ...]
    temporal: dict[tuple[int, int], Field]
    drb: dict[tuple[int, int], Field]
    reach: int


class SamplingProbe:
    """Where the network samples when it computes a slice between two slices.

    Only a tile round the query is computed, without reconstructing an image. What is sampled
    depends on the two slices within the sampling radius (`cost.sampling_radius`) plus the offsets
    met on the way, but the influence of what is far falls off fast: with a margin of half that
    radius, points lie where those of the whole slice lie to a few hundredths of a pixel.

    Parameters
    ----------
    model : NetworkModel
    before, after : ndarray (y, x), float32
        The slices, scaled by the volume's IntensityRange.
    fraction : Fraction
        Place of the computed slice between them. Networks that compute the middle only come close
        to it by halvings; the points are those of the last one.
    core : int
        Side in pixels of the part of a tile that later queries are answered from.
    """

    def __init__(
        self,
        model: NetworkModel,
        before: Image,
        after: Image,
        fraction: Fraction = Fraction(1, 2),
        core: int = CORE,
    ) -> None:
        if before.shape != after.shape:
            raise ValueError(f"Slices are {before.shape} and {after.shape}; they must agree.")
        if not model.any_position and fraction.denominator & (fraction.denominator - 1):
            fraction = reachable_fraction(fraction, fraction.denominator)
        self.model, self.before, self.after, self.fraction = model, before, after, fraction
        self.core = core
        self._fields: Fields | None = None
        settings = model.network.settings
        self.margin = ceil_to(sampling_radius(settings) // 2, settings.multiple)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the slices."""
        return self.before.shape[0], self.before.shape[1]

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        """Places of the two slices that the last halving takes: 0 and 1 are the real ones."""
        low, _, high = self._halvings[-1]
        return low, high

    @property
    def _halvings(self) -> list[tuple[Fraction, Fraction, Fraction]]:
        """(low, middle, high) to compute in order; see `schedule.halvings`."""
        return halvings(self.fraction, self.model.any_position)

    def knows(self, y: float, x: float) -> bool:
        """Whether a query can be answered without computing anything."""
        if self._fields is None:
            return False
        c = self._fields.core
        return c.y0 <= y < c.y1 and c.x0 <= x < c.x1

    def at(self, y: float, x: float) -> QueryPoints:
        """What is sampled for the pixel at (y, x).

        Raises
        ------
        ValueError
            If it lies outside the slice.
        """
        height, width = self.shape
        if not (0 <= y < height and 0 <= x < width):
            raise ValueError(f"({y:g}, {x:g}) lies outside the slice of {height} x {width}.")
        if not self.knows(y, x):
            self._fields = self.fields(self._core_round(y, x))
        fields = self._fields
        assert fields is not None
        nearest = next(iter(fields.temporal.values()))
        first = fields.temporal.get((0, 1), nearest)
        i, j = first.index(y, x)
        cy, cx = first.y0 + i * first.stride, first.x0 + j * first.stride
        return QueryPoints(
            cy,
            cx,
            tuple(field.points(cy, cx) for field in fields.rsab),
            {key: field.points(cy, cx) for key, field in fields.temporal.items()},
            {key: field.points(cy, cx) for key, field in fields.drb.items()},
        )

    def fields_round(self, y: float, x: float) -> Fields:
        """The fields that a query at (y, x) is answered from; computed if need be."""
        self.at(y, x)
        assert self._fields is not None
        return self._fields

    def fields(self, core: Region) -> Fields:
        """Sampling fields for a part of the slice, in pixels; its margin is added."""
        settings, network = self.model.network.settings, self.model.network
        read = self._read(core)
        y, x = read.slices
        known = {Fraction(0): self._padded(self.before, y, x)}
        known[Fraction(1)] = self._padded(self.after, y, x)
        *earlier, (low, middle, high) = self._halvings
        at = float((middle - low) / (high - low))
        sampling = Sampling()
        with torch.inference_mode(), self.model.autocast():
            for start, between, end in earlier:
                known[between] = network(known[start], known[end])
            a, b = (network.encode(known[place].float()) for place in (low, high))
            network.sample(a, b, sampling, at)

        def make(points: SamplingPoints) -> Field:
            return field_of(points, read.y0, read.x0, settings.unshuffle)

        return Fields(
            core,
            tuple(make(p) for p in sampling.rsab),
            {key: make(p) for key, p in sampling.temporal.items()},
            {key: make(p) for key, p in sampling.drb.items()},
            offset_reach(sampling),
        )

    def _core_round(self, y: float, x: float) -> Region:
        """A square round (y, x) within the slice, on the grid of the pyramid."""
        multiple = self.model.network.settings.multiple
        spans = []
        for place, size in ((y, self.shape[0]), (x, self.shape[1])):
            start = max(0, min(int(place) - self.core // 2, size - self.core))
            start = start // multiple * multiple
            spans.append((start, min(start + ceil_to(self.core, multiple), size)))
        (y0, y1), (x0, x1) = spans
        return Region(y0, x0, y1, x1)

    def _read(self, core: Region) -> Region:
        """The core with its margin, as far as the padded slice reaches."""
        multiple = self.model.network.settings.multiple
        margin = self.margin * len(self._halvings)
        padded = (ceil_to(self.shape[0], multiple), ceil_to(self.shape[1], multiple))
        return core.grow(margin).snap(multiple).clip(padded)

    def _padded(self, image: Image, y: slice, x: slice) -> torch.Tensor:
        part = self.model.padded(image)[y, x]
        tensor = torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))[None, None]
        return tensor.to(self.model.device)
