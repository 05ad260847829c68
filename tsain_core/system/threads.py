"""The number of threads that torch computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def computing_threads(count: int | None) -> Iterator[None]:
    """Compute with `count` threads while this runs; None leaves the number as it is.

    The number holds for the whole process, and may be another program's, such as napari's; so it is
    what it was before when this ends.
    """
    before = torch.get_num_threads()
    if count is not None and count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
