"""A progress bar for what the core yields."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tqdm import tqdm

from ..interpolate import Finished, Step


def with_progress(events: Iterator[Step | Finished], total: int) -> Iterator[Finished]:
    """Draw slices per second and time left while passing on finished slices."""
    bar = tqdm(
        total=total,
        unit="slice",
        disable=None if sys.stderr.isatty() else False,
        mininterval=0.1 if sys.stderr.isatty() else 10,
        bar_format="{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}, {rate_fmt}]",
    )
    with bar:
        for event in events:
            if isinstance(event, Step):
                bar.update(event.done - bar.n)
            else:
                yield event
