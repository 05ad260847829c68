"""Triplets of slices from volumes: (before, truth, after), cropped at random.

Held-out data are a block of z slices at the end of each volume, never random crops, so that
training and validation share no pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import TsainError
from ..intensity import IntensityRange
from .augment import Augmentation, augment

Triplet = NDArray[np.float32]  # (3, y, x)


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
    """

    array: NDArray[Any]
    intensity: IntensityRange
    axes: tuple[int, ...] = (0,)
    spacings: tuple[int, ...] = (1,)
    weight: float = 1.0
    augmentation: Augmentation = Augmentation()

    def split(self, fraction: float = 0.1) -> tuple[TripletSource, TripletSource]:
        """Training and held-out part: the last z slices, at least one triplet of them.

        Raises
        ------
        TsainError
            If the volume is too thin for a triplet in each part.
        """
        need = 2 * max(self.spacings) + 1
        depth = len(self.array)
        held = max(need, round(depth * fraction))
        if depth - held < need:
            raise TsainError(
                f"The volume has {depth} slices; training with spacing {max(self.spacings)} and "
                f"held-out slices needs at least {2 * need}. Use a smaller spacing or more slices."
            )
        parts = self.array[: depth - held], self.array[depth - held :]
        return tuple(  # type: ignore[return-value]
            TripletSource(
                part, self.intensity, self.axes, self.spacings, self.weight, self.augmentation
            )
            for part in parts
        )

    def draw(self, rng: np.random.Generator, crop: int) -> Triplet:
        """A random triplet of `crop` x `crop` pixels, augmented, in [0, 1]."""
        stack = np.moveaxis(self.array, int(rng.choice(self.axes)), 0)
        spacing = int(rng.choice([s for s in self.spacings if 2 * s < len(stack)]))
        z = int(rng.integers(len(stack) - 2 * spacing))
        shift = self.augmentation.shift
        dy, dx = rng.integers(-shift, shift + 1, 2)
        height, width = stack.shape[1:]
        y = int(rng.integers(shift, height - crop - shift + 1))
        x = int(rng.integers(shift, width - crop - shift + 1))
        cuts = [
            stack[z + i * spacing, y + s * dy : y + s * dy + crop, x + s * dx : x + s * dx + crop]
            for i, s in ((0, 1), (1, 0), (2, -1))
        ]
        return augment(self.intensity.to_unit(np.stack(cuts)), self.augmentation, rng)

    def fixed(self, crop: int) -> Iterator[Triplet]:
        """The triplets along z at the largest spacing, centre crops, not augmented."""
        spacing = max(self.spacings)
        _, height, width = self.array.shape
        c = min(crop, height, width) // 8 * 8
        y, x = (height - c) // 2, (width - c) // 2
        for z in range(len(self.array) - 2 * spacing):
            cut = self.array[z : z + 2 * spacing + 1 : spacing, y : y + c, x : x + c]
            yield self.intensity.to_unit(cut)


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
            need = self.crop + 2 * source.augmentation.shift
            if min(sides) < need:
                raise TsainError(
                    f"Slices are {min(sides)} pixels wide; crops of {self.crop} with shifts need "
                    f"{need}. Choose a smaller crop."
                )

    def batch_at(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Before, truth, after of a step, each (batch, 1, crop, crop)."""
        rng = np.random.default_rng([self.seed, step])
        weights = np.array([s.weight for s in self.sources], dtype=float)
        chosen = rng.choice(len(self.sources), self.batch, p=weights / weights.sum())
        stack = np.stack([self.sources[i].draw(rng, self.crop) for i in chosen])
        tensor = torch.from_numpy(np.ascontiguousarray(stack))
        return tensor[:, 0:1], tensor[:, 1:2], tensor[:, 2:3]
