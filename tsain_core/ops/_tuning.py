"""How kernels are launched: candidates are timed once on the card, then the fastest is kept."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)

_RUNS = 5

_chosen: dict[Hashable, object] = {}  # by kind of layer, dtype and card, for this process

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Launch:
    """Output pixels of a program, its warps, and the depth of its load pipeline."""

    pixels: int
    warps: int = 4
    stages: int = 2

    def options(self) -> dict[str, int]:
        """Keyword arguments of a Triton launch."""
        return {"BM": self.pixels, "num_warps": self.warps, "num_stages": self.stages}


def fastest(
    key: Hashable,
    candidates: Sequence[Choice],
    run: Callable[[Choice], object],
    device: torch.device,
) -> Choice:
    """The candidate that ran fastest when `key` was first met.

    Where nothing can be timed (no CUDA card, a graph being captured) it is the first one. A
    candidate that the card has not the resources for is left out.

    Raises
    ------
    RuntimeError
        If no candidate runs.
    """
    if key in _chosen:
        return _chosen[key]  # type: ignore[return-value]
    if device.type != "cuda" or torch.cuda.is_current_stream_capturing():
        return candidates[0]
    times: dict[int, float] = {}
    failure: Exception | None = None
    for i, candidate in enumerate(candidates):
        try:
            times[i] = _milliseconds(lambda c=candidate: run(c))  # type: ignore[misc]
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # what Triton raises differs from version to version
            logger.debug("%s cannot be launched as %s: %s", key, candidate, error)
            failure = error
    if not times:
        raise RuntimeError(f"No way of launching {key} works on {device}.") from failure
    best = candidates[min(times, key=times.__getitem__)]
    _chosen[key] = best
    logger.debug("%s: %s of %s", key, best, times)
    return best


def chosen(key: Hashable) -> object:
    """What `fastest` has settled on for `key`; None before it has."""
    return _chosen.get(key)


def _milliseconds(run: Callable[[], object]) -> float:
    """Median time on the card, after a run that compiles and warms up."""
    run()
    times = []
    for _ in range(_RUNS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()  # type: ignore[no-untyped-call]
        run()
        end.record()  # type: ignore[no-untyped-call]
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)
