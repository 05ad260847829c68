"""Look through a stack for damaged slices, a few slices in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from itertools import combinations

from ..errors import TsainError
from ..volumes import Volume
from .findings import Inspection
from .judge import judge
from .measures import REACH, Prepared, compare, stain
from .sketch import MEMORY, sketches
from .statistics import Measures

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
    measures, recent = Measures(), deque[Prepared](maxlen=REACH + 1)
    for sketch in sketches(volume, memory):
        new = Prepared(sketch)
        for old in recent:
            if new.z - old.z <= REACH:
                measures.pairs[old.z, new.z] = compare(old, new)
        recent.append(new)
        measures.slices.append(new.numbers)
        measures.side = min(sketch.image.shape)
        for three in combinations(recent, 3):
            if three[2] is new:
                measures.stains[three[0].z, three[1].z, three[2].z] = stain(*three)
        yield Looked(new.z + 1, depth)
    return judge(measures)
