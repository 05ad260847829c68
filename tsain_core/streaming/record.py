"""What is known of a run between processes: its plan, who runs it, which blocks are done.

Beside the arrays of an output in the making lies the folder `.tsain-run`::

    plan.json        the run
    lock.json        the process that steers it, and when it was last heard of
    done/L/K/I.json  block I of level L is in its files: what it took (K = I // 1000)
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import psutil

from ..errors import TsainError
from ..volumes._locations import Location, forget_listings, is_remote, locate
from ..volumes._publish import remove
from .blocks import Block
from .plan import RunPlan

FOLDER = ".tsain-run"
_SILENT = 120.0  # seconds after which a process on another machine counts as gone
BEAT = 10.0  # seconds between two signs of life
_IN_A_FOLDER = 1000


def staging(output: Location) -> Location:
    """Where an output grows: a hidden sibling, or its own place where nothing can be renamed."""
    if is_remote(output):
        return output
    return output.with_name(f".{output.name}.unfinished{output.suffix}")


class Record:
    """The record of the run whose arrays lie at `root`."""

    def __init__(self, root: str | Location) -> None:
        self.root = locate(str(root))
        self._folder = self.root / FOLDER

    def plan(self) -> RunPlan | None:
        """The run that was begun here; None if none was.

        Raises
        ------
        TsainError
            If another version of this program began it, or it is damaged.
        """
        try:
            text = (self._folder / "plan.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return RunPlan.from_json(json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
            if isinstance(error, TsainError):
                raise
            raise TsainError(
                f"The plan in {self._folder} is damaged ({error}); begin anew with --restart."
            ) from error

    def begin(self, plan: RunPlan) -> None:
        """Write the plan; the arrays must be there already."""
        self._write("plan.json", plan.to_json())

    def done(self, level: int) -> dict[int, dict[str, Any]]:
        """Index -> what it took, of the finished blocks of a level."""
        forget_listings(self._folder)
        found: dict[int, dict[str, Any]] = {}
        for folder in _entries(self._folder / "done" / str(level)):
            for mark in _entries(folder):
                if mark.suffix == ".json" and mark.stem.isdigit():
                    found[int(mark.stem)] = json.loads(mark.read_text(encoding="utf-8"))
        return found

    def mark(self, block: Block, report: dict[str, Any]) -> None:
        """A block is done, and on disk."""
        if not is_remote(self.root) and hasattr(os, "sync"):
            os.sync()  # the mark must not outlive its voxels when the power fails
        name = f"done/{block.level}/{block.index // _IN_A_FOLDER}/{block.index}.json"
        self._write(name, report)

    def take(self) -> None:
        """Become the process that steers the run.

        Raises
        ------
        TsainError
            If another one does.
        """
        path = self._folder / "lock.json"
        lock = None
        with contextlib.suppress(FileNotFoundError, ValueError):
            lock = json.loads(path.read_text(encoding="utf-8"))
        if lock and _lives(lock):
            raise TsainError(
                f"{self.root.name} is being made already, by process {lock['pid']} on "
                f"{lock['host']}; wait for it, or stop it first."
            )
        self.beat()

    def beat(self) -> None:
        """Say that this process is still there."""
        process = psutil.Process()
        self._write(
            "lock.json",
            {
                "host": socket.gethostname(),
                "pid": process.pid,
                "started": process.create_time(),
                "beat": time.time(),
            },
        )

    def release(self) -> None:
        """Steer the run no longer."""
        with contextlib.suppress(OSError):
            (self._folder / "lock.json").unlink()

    def clear(self) -> None:
        """Remove the record of a finished run."""
        _remove(self._folder)

    def sweep(self) -> None:
        """Remove what zarr leaves of files that it was writing when its process was killed."""
        if is_remote(self.root):
            return  # objects appear whole or not at all
        for folder, _, names in os.walk(str(self.root)):
            for name in names:
                if name.endswith(".partial"):
                    os.unlink(os.path.join(folder, name))

    def discard(self) -> None:
        """Remove the run with all its voxels."""
        _remove(self.root)

    def _write(self, name: str, values: dict[str, Any]) -> None:
        path, text = self._folder / name, json.dumps(values)
        if is_remote(path):
            path.write_text(text, encoding="utf-8")
            return
        assert isinstance(path, Path)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)


def _entries(folder: Location) -> list[Any]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove(location: Location) -> None:
    if is_remote(location):
        with contextlib.suppress(FileNotFoundError):
            location.fs.rm(location.path, recursive=True)  # type: ignore[union-attr]
        forget_listings(location)
    else:
        remove(Path(str(location)))


def _lives(lock: dict[str, Any]) -> bool:
    if lock["host"] != socket.gethostname():
        return time.time() - float(lock["beat"]) < _SILENT
    try:
        process = psutil.Process(int(lock["pid"]))
        same = abs(process.create_time() - float(lock["started"])) < 1
        return same and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
