"""A progress bar for what the core yields."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import closing

from tqdm import tqdm

from ..interpolate import Finished, Step
from ..pipeline import Begun


def progress_bar(total: int | None = None) -> tqdm:  # type: ignore[type-arg]
    """A bar with slices per second and time left; a line every ten seconds where no one looks."""
    return tqdm(
        total=total,
        unit="slice",
        mininterval=0.1 if sys.stderr.isatty() else 10,
        bar_format="{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}, {rate_fmt}]",
    )


def with_progress(
    events: Generator[Begun | Step | Finished, None, None], total: int
) -> Iterator[Finished]:
    """Draw progress while passing on finished slices."""
    with closing(events), progress_bar(total) as bar:
        for event in events:
            if isinstance(event, Step):
                bar.update(event.done - bar.n)
            elif isinstance(event, Finished):
                yield event
