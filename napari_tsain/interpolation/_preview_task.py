"""The task of a preview: one slice within a rectangle, and what it is compared with."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsain_core.inference.brightness import find_shifts
from tsain_core.inference.intensity import IntensityRange, estimate_range
from tsain_core.inference.models import BaselineModel
from tsain_core.inference.region import Region
from tsain_core.interpolation.interpolate import SliceReady, TileProgress, interpolate
from tsain_core.interpolation.schedule import OutputSlice, Schedule
from tsain_core.volumes import Volume

from ._model import ModelChoice
from ._worker_tasks import ModelCache

#: Pixels computed round a preview, so that its edge is as the whole slice's would be, nearly.
PREVIEW_MARGIN = 64


class Compared(StrEnum):
    """Images of a preview: the computed slice, and what it is compared with."""

    INTERPOLATED = "Interpolated"
    MEAN = "Mean"
    BEFORE = "Before"
    AFTER = "After"


@dataclass(frozen=True)
class Preview:
    """A computed slice and what it is compared with, in grey values of the stack.

    Attributes
    ----------
    images : dict
        Compared -> (y, x) of the rectangle.
    seconds : float
        That the computation took.
    """

    images: dict[Compared, NDArray[Any]]
    seconds: float
    device: str


def preview(
    volume: Volume,
    wanted: OutputSlice,
    damaged: frozenset[int],
    rectangle: Region,
    choice: ModelChoice,
    models: ModelCache,
    ranges: dict[str, IntensityRange],
) -> Generator[TileProgress, None, Preview]:
    """Compute one slice within a rectangle.

    `ranges` keeps intensity ranges by model name; slices that are `damaged` count for nothing.
    """
    model = models.open(choice)
    if model.name not in ranges:
        ranges[model.name] = estimate_range(volume, model.scaling)
    intensity = ranges[model.name]
    start = time.perf_counter()
    grown = rectangle.grow(PREVIEW_MARGIN).clip((volume.shape[1], volume.shape[2]))
    y, x = grown.slices
    part = replace(volume, data=volume.data[:, y, x])
    ends = (wanted.before, wanted.after)
    shifts = find_shifts(volume, [ends], model.brightness_slices, damaged)
    one = Schedule((wanted,), wanted.position * 0 + 1, shifts)
    image: NDArray[Any] | None = None
    for event in interpolate(part, one, model, intensity):
        if isinstance(event, SliceReady):
            image = event.image
        else:
            yield event
    assert image is not None
    mean = interpolate(part, replace(one, shifts={}), BaselineModel("mean"), intensity)
    images = {
        Compared.INTERPOLATED: image,
        Compared.MEAN: next(event.image for event in mean if isinstance(event, SliceReady)),
        Compared.BEFORE: np.asarray(part[wanted.before]),
        Compared.AFTER: np.asarray(part[wanted.after]),
    }
    cut = rectangle.within(grown).slices
    return Preview(
        {name: np.ascontiguousarray(full[cut]) for name, full in images.items()},
        time.perf_counter() - start,
        model.execution,
    )
