"""Look through a stack for damaged slices, a few slices in memory at a time."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from ..errors import TsainError
from ..volumes import Volume
from .collect import Collector
from .findings import Inspection
from .judge import judge
from .measures import Prepared
from .sketch import MEMORY, sketches

_FEWEST = 3


@dataclass(frozen=True)
class Looked:
    """Progress: slices that were looked at."""

    done: int
    total: int


def inspect_stack(volume: Volume, memory: int = MEMORY) -> Generator[Looked, None, Inspection]:
    """Find damaged slices.

    Parameters
    ----------
    volume : Volume
    memory : int
        Bytes of grey values that are read at once.

    Yields
    ------
    Looked
        After each slice; closing the generator stops the inspection.

    Returns
    -------
    Inspection

    Raises
    ------
    TsainError
        If the stack has fewer than 3 slices.
    """
    depth = volume.shape[0]
    if depth < _FEWEST:
        raise TsainError(
            f"The stack has {depth} slices; at least {_FEWEST} are required to compare each with "
            "its neighbours: give a deeper stack."
        )
    collector = Collector()
    for sketch in sketches(volume, memory):
        collector.add(Prepared(sketch))
        yield Looked(sketch.z + 1, depth)
    return judge(collector.measures)
