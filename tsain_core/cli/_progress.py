"""A progress bar for what the core yields."""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from tqdm import tqdm

from ..errors import printable
from ..interpolation.interpolate import SliceReady, TileProgress


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
