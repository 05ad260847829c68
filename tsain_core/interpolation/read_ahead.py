"""Slices of a volume, the next ones read while the present ones are worked on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inference.intensity import IntensityRange
from ..inference.models import Image


@dataclass(frozen=True)
class ReadSlice:
    """A slice as it is in the volume, and scaled to [0, 1] for a model; the same objects always.

    `missing` is True where the volume has no data, which hold the fill value; None: nowhere.
    """

    real: NDArray[Any]
    scaled: Image
    missing: NDArray[np.bool_] | None


class ReadAhead:
    """Reads slices in a thread of its own, each once while it is wanted."""

    def __init__(self, volume: Any, intensity: IntensityRange, thread: ThreadPoolExecutor) -> None:
        self._volume, self._intensity, self._thread = volume, intensity, thread
        self._slices: dict[int, Future[ReadSlice]] = {}

    def want(self, now: Iterable[int], then: Iterable[int]) -> dict[int, ReadSlice]:
        """The slices `now`; begins to read `then`, and forgets all others.

        Raises whatever reading a slice raised.
        """
        now, then = tuple(now), tuple(then)
        for z in (*now, *then):
            if z not in self._slices:
                self._slices[z] = self._thread.submit(self._read, z)
        for z in set(self._slices) - {*now, *then}:
            del self._slices[z]
        return {z: self._slices[z].result() for z in now}

    def _read(self, z: int) -> ReadSlice:
        real = np.asarray(self._volume[z])
        find = getattr(self._volume, "missing", None)  # numpy arrays have all their data
        missing = find(real, z) if find else None
        if missing is not None and real.dtype.kind == "f":
            # a fill value of NaN is treated as any other NaN: see `nonfinite`
            missing = missing & np.isfinite(real)
            missing = missing if missing.any() else None
        return ReadSlice(real, self._intensity.to_unit(real), missing)


@contextmanager
def reading_ahead(volume: Any, intensity: IntensityRange) -> Iterator[ReadAhead]:
    """A `ReadAhead` whose thread ends with the context."""
    with ThreadPoolExecutor(1, thread_name_prefix="tsain-read") as thread:
        yield ReadAhead(volume, intensity, thread)
