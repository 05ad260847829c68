"""A progress bar for what the core yields."""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, TypeVar

from tqdm import tqdm

from ..errors import printable
from ..inference.models import run_to_end
from ..interpolation.interpolate import SliceReady, TileProgress

T = TypeVar("T")


def bar(**options: Any) -> tqdm:  # type: ignore[type-arg]
    """A bar of tqdm, which --quiet switches off."""
    return tqdm(disable=not logging.getLogger().isEnabledFor(logging.INFO), **options)


def say(text: object = "") -> None:
    """Print lines in which nothing but the line breaks steers the terminal."""
    print("\n".join(printable(line) for line in str(text).split("\n")))


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Whether the result is for a program."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def say_json(values: object) -> None:
    """Print a JSON object; numbers that JSON does not know are null."""
    print(json.dumps(_known_to_json(values), indent=1))


def _known_to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _known_to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_known_to_json(item) for item in value]
    return value


def progress_bar(total: int | None = None) -> tqdm:  # type: ignore[type-arg]
    """A bar with slices per second and time left; a line every ten seconds where no one looks."""
    return bar(
        total=total,
        unit="slice",
        mininterval=0.1 if sys.stderr.isatty() else 10,
        bar_format="{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}, {rate_fmt}]",
    )


def with_bar(work: Generator[Any, None, T], what: str = "", **options: Any) -> T:
    """What work comes to, with a bar that follows its events: their `done`, `total`, and `what`.

    Work of several parts says in `what` which one it is at; each begins a bar of its own.
    """
    with bar(desc=what or None, unit="slice", **options) as shown:
        part = what

        def follow(event: Any) -> None:
            nonlocal part
            if (now := getattr(event, "what", what)) != part:
                part = now
                shown.reset()
                shown.set_description(now, refresh=False)
            shown.total = event.total
            shown.update(event.done - shown.n)

        return run_to_end(work, follow)


def with_progress(
    events: Generator[TileProgress | SliceReady, None, None], total: int
) -> Iterator[SliceReady]:
    """Draw progress while passing on finished slices."""
    with closing(events), progress_bar(total) as shown:
        for event in events:
            if isinstance(event, TileProgress):
                shown.update(event.done - shown.n)
            elif isinstance(event, SliceReady):
                yield event
