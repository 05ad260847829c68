"""What a job has to say: one JSON object a line, only ever appended."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

EVENTS = "events.jsonl"

Event = dict[str, Any]


def append_event(folder: Path, kind: str, **values: Any) -> None:
    """Add a line; it is on its way to the disk when this returns."""
    line = json.dumps({"kind": kind, "time": time.time(), **values})
    with (folder / EVENTS).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def read_events(folder: Path, start: int = 0) -> tuple[list[Event], int]:
    """Events from byte `start` on, and where the next ones will begin.

    A line that is still being written is left for the next time.
    """
    try:
        with (folder / EVENTS).open("rb") as file:
            file.seek(start)
            data = file.read()
    except FileNotFoundError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    events = []
    for line in whole.splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:  # cut off when the process was killed
            continue
    return events, start + len(whole)
