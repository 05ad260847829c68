"""What a job has to say: one JSON object a line, only ever appended."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

EVENTS = "events.jsonl"

Event = dict[str, Any]

_NUMBER, _NOTHING, _MISSING = (int, float), type(None), object()
#: Kind -> the fields that readers use, and their types.
_FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "begun": {"stop": (list,)},
    "untuned": {"validation": _NUMBER},
    "progress": {
        "step": (int,),
        "steps": (int,),
        "seconds": _NUMBER,
        "loss": (*_NUMBER, _NOTHING),
        "validation": (*_NUMBER, _NOTHING),
        "note": (str,),
    },
    "verdict": {"sentence": (str,), "model": (str, _NOTHING)},
    "failed": {"message": (str,)},
}


def append_event(folder: Path, kind: str, **values: Any) -> None:
    """Add a line; it is on its way to the disk when this returns."""
    line = json.dumps({"kind": kind, "time": time.time(), **values}).encode() + b"\n"
    with (folder / EVENTS).open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a process was killed in the middle of its last line
                line = b"\n" + line
        file.write(line)


def read_events(folder: Path, start: int = 0) -> tuple[list[Event], int]:
    """Events from byte `start` on, and where the next ones will begin.

    A line that is still being written is left for the next time; one that is no event is left out.
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
            event = json.loads(line)
        except ValueError:  # cut off when the process was killed
            continue
        if _is_event(event):
            events.append(event)
    return events, start + len(whole)


def _is_event(value: Any) -> bool:
    """Whether a line holds what readers take for granted: others may have written into it."""
    if not (isinstance(value, dict) and isinstance(value.get("kind"), str)):
        return False
    fields = {"time": _NUMBER, **_FIELDS.get(value["kind"], {})}
    return all(isinstance(value.get(name, _MISSING), types) for name, types in fields.items())
