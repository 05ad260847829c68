"""Triplets of slices from volumes: (before, truth, after), cropped at random.

Held-out data are a block of z slices at the end of each volume, never random crops, so that
training and validation share no pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import TsainError
from ..inference.intensity import IntensityRange
from ..inference.nonfinite import fill_slices
from .augment import Augmentation, augment
from .regimes import Regimes, change_grey_values, draw_regime
from .screening import Screening, Triplet, align_triplet
from .triplet_folder import without_shared

_TRIES = 20  # triplets drawn in the place of rejected ones
_SYMMETRIES = Augmentation(contrast=0, brightness=0, slice_contrast=0, slice_brightness=0)


@dataclass(frozen=True)
class TripletSource:
    """A volume and how triplets are taken from it.

    Attributes
    ----------
    array : ndarray (z, y, x)
    intensity : IntensityRange
    axes : tuple of int
        Axes along which slices may be taken; more than axis 0 only for isotropic volumes.
    spacings : tuple of int
        Distances between neighbouring slices of a triplet, in voxels.
    weight : float
        Share of the batches, relative to the other sources.
    augmentation : Augmentation
    screening : Screening or None
        What makes a drawn triplet be replaced by another, and whether triplets are aligned.
    regimes : Regimes or None
        Ranges of imaging conditions, which take the place of spacings and augmentation.
    grid : int
        Crops lie within the squares of this side that slices are cut into, from the upper left, as
        the paper cuts its triplets; 0 takes them anywhere.
    separate : bool
        The array holds triplets one after the other (`read_triplets`) instead of a stack of slices.
    """

    array: NDArray[Any]
    intensity: IntensityRange
    axes: tuple[int, ...] = (0,)
    spacings: tuple[int, ...] = (1,)
    weight: float = 1.0
    augmentation: Augmentation = Augmentation()
    screening: Screening | None = None
    separate: bool = False
    regimes: Regimes | None = None
    grid: int = 0

    def split(self, fraction: float = 0.1) -> tuple[TripletSource, TripletSource]:
        """Training and held-out part: the last z slices, or triplets; at least one triplet.

        Of separate triplets, those that share an image with a held-out one go to neither part.

        Raises
        ------
        TsainError
            If the volume is too thin for a triplet in each part.
        """
        return self.split_off(self.held_depth(fraction))

    def held_depth(self, fraction: float) -> int:
        """How many slices make up a share of the volume, and at least one triplet.

        Raises
        ------
        TsainError
            If too few are left to learn from.
        """
        need = 2 * max(self.spacings) + 1
        depth = len(self.array)
        held = max(need, round(depth * fraction))
        if depth - held < need:
            raise TsainError(
                f"The volume has {depth} slices; training with spacing {max(self.spacings)} and "
                f"held-out slices needs at least {2 * need}. Use a smaller spacing or more slices."
            )
        return -(-held // 3) * 3 if self.separate else held

    def split_off(self, held: int) -> tuple[TripletSource, TripletSource]:
        """As `split`, for a number of slices, which may be too few for a triplet."""
        first = len(self.array) - held
        parts = self.array[:first], self.array[first:]
        if self.separate:
            parts = without_shared(*parts), parts[1]
            if not len(parts[0]):
                raise TsainError("All triplets share images; expected some that stand apart.")
        return replace(self, array=parts[0]), replace(self, array=parts[1])

    @property
    def margin(self) -> int:
        """Pixels needed round a crop, for drift that is added and drift that is taken out."""
        return self.augmentation.shift + (self.screening.align if self.screening else 0)

    def draw(self, rng: np.random.Generator, crop: int) -> tuple[Triplet, float]:
        """A random triplet of `crop` x `crop` pixels, augmented, in [0, 1], and its position.

        The position of the truth is 0 at the first slice and 1 at the last. A triplet that the
        screening rejects is replaced, up to a few times.
        """
        position = 0.5
        for _ in range(_TRIES):
            if self.regimes is None:
                triplet = self._cut(rng, crop)
            else:
                stack = np.moveaxis(self.array, int(rng.choice(self.axes)), 0)
                isotropic = len(self.axes) == 3
                cuts, position = draw_regime(stack, isotropic, self.regimes, rng, crop)
                triplet = self.intensity.to_unit(cuts)
            if self.screening is None or self.screening.reject(triplet) is None:
                break
        how = self.augmentation
        if self.regimes is not None:
            triplet = change_grey_values(triplet, position, self.regimes, rng)
            how = _SYMMETRIES
        triplet, reverse = augment(triplet, how, rng)
        return triplet, 1 - position if reverse else position

    def _cut(self, rng: np.random.Generator, crop: int) -> Triplet:
        stack = np.moveaxis(self.array, int(rng.choice(self.axes)), 0)
        spacing = int(rng.choice([s for s in self.spacings if 2 * s < len(stack)]))
        starts = self._starts(len(stack), spacing)
        z = starts[int(rng.integers(len(starts)))]
        shift = self.augmentation.shift
        dy, dx = rng.integers(-shift, shift + 1, 2)
        height, width = stack.shape[1:]
        align = self.screening.align if self.screening else 0
        y, x = (self._start(n, crop, rng) - align for n in (height, width))
        side = crop + 2 * align
        cuts = [
            stack[z + i * spacing, y + s * dy : y + s * dy + side, x + s * dx : x + s * dx + side]
            for i, s in ((0, 1), (1, 0), (2, -1))
        ]
        triplet = fill_slices(self.intensity.to_unit(np.stack(cuts)))
        return align_triplet(triplet, align) if align else triplet

    def _start(self, side: int, crop: int, rng: np.random.Generator) -> int:
        """Where a crop starts along a side of the slices."""
        low, high = self.margin, side - crop - self.margin
        if self.grid:
            cell = int(rng.integers(side // self.grid)) * self.grid
            low, high = max(low, cell), min(high, cell + self.grid - crop)
        return int(rng.integers(low, high + 1))

    def _starts(self, depth: int, spacing: int) -> range:
        """First slices of the triplets."""
        return range(0, depth - 2, 3) if self.separate else range(depth - 2 * spacing)

    def fixed(self, crop: int) -> Iterator[Triplet]:
        """The triplets along z at the largest spacing that fits, centre crops, not augmented."""
        depth, height, width = self.array.shape
        spacing = max((s for s in self.spacings if 2 * s < depth), default=depth)
        c = min(crop, height, width) // 8 * 8
        y, x = (height - c) // 2, (width - c) // 2
        for z in self._starts(depth, spacing):
            cut = self.array[z : z + 2 * spacing + 1 : spacing, y : y + c, x : x + c]
            yield fill_slices(self.intensity.to_unit(cut))


@dataclass(frozen=True)
class TripletSampler:
    """Batches from several sources, a function of seed and step alone: resuming needs no state."""

    sources: Sequence[TripletSource]
    crop: int
    batch: int
    seed: int = 0

    def __post_init__(self) -> None:
        for source in self.sources:
            sides = [n for axis in source.axes for n in np.delete(source.array.shape, axis)]
            need = self.crop + 2 * source.margin
            if source.grid and not self.crop + source.margin <= source.grid <= min(sides):
                raise TsainError(
                    f"The grid is {source.grid} pixels; crops of {self.crop} with shifts need at "
                    f"least {self.crop + source.margin}, and slices have {min(sides)}."
                )
            if min(sides) < need:
                raise TsainError(
                    f"Slices are {min(sides)} pixels wide; crops of {self.crop} with shifts need "
                    f"{need}. Choose a smaller crop."
                )

    def batch_at(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Before, truth, after of a step, (batch, 1, crop, crop), and positions (batch,)."""
        rng = np.random.default_rng([self.seed, step])
        weights = np.array([s.weight for s in self.sources], dtype=float)
        chosen = rng.choice(len(self.sources), self.batch, p=weights / weights.sum())
        drawn = [self.sources[i].draw(rng, self.crop) for i in chosen]
        tensor = torch.from_numpy(np.stack([triplet for triplet, _ in drawn]))
        at = torch.tensor([position for _, position in drawn])
        return tensor[:, 0:1], tensor[:, 1:2], tensor[:, 2:3], at
