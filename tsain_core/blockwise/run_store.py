"""What is known of a run between processes: its plan, and which blocks are done.

Beside the arrays of an output in the making lies the folder `.tsain-run`::

    plan.json        the run
    done/L/K/I.json  block I of level L is in its files: what it took (K = I // 1000)

Where an output is made slice by slice (`slice_run`), there are instead::

    slices.json      what makes the slices come out as they do
    slices/K/I.json  slice I is in its files
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import TsainError, argument
from ..system.atomic import write_text
from ..volumes._locations import Location, forget_listings, is_remote, locate
from ..volumes._publish import remove, to_disk
from .blocks import Block
from .plan import RunPlan

FOLDER = ".tsain-run"
_IN_A_FOLDER = 1000


def staging(output: Location) -> Location:
    """Where an output grows: a hidden sibling, or its own place where nothing can be renamed."""
    if is_remote(output):
        return output
    return output.with_name(f".{output.name}.unfinished{output.suffix}")


class RunStore:
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
                f"The plan in {self._folder} is damaged ({error}); begin again with "
                f"{argument('restart')}."
            ) from error

    def begin(self, plan: RunPlan) -> None:
        """Write the plan; the arrays must be there already."""
        self.write("plan.json", plan.to_json())

    def plan_is_there(self) -> bool:
        """Whether a run block by block was begun here."""
        return (self._folder / "plan.json").exists()

    def slices(self) -> frozenset[int]:
        """Slices that are done, of an output that is made slice by slice."""
        marks = (m for folder in _entries(self._folder / "slices") for m in _entries(folder))
        return frozenset(int(m.stem) for m in marks if m.suffix == ".json" and m.stem.isdigit())

    def mark_slice(self, z: int) -> None:
        """A slice is done, and its files are on disk."""
        self.write(f"slices/{z // _IN_A_FOLDER}/{z}.json", {})

    def done(self, level: int) -> dict[int, dict[str, Any]]:
        """Index -> what it took, of the finished blocks of a level."""
        forget_listings(self._folder)
        found: dict[int, dict[str, Any]] = {}
        for folder in _entries(self._folder / "done" / str(level)):
            for mark in _entries(folder):
                if mark.suffix == ".json" and mark.stem.isdigit():
                    found[int(mark.stem)] = json.loads(mark.read_text(encoding="utf-8"))
        return found

    def mark(self, block: Block, report: dict[str, Any], files: Iterable[str]) -> None:
        """A block is done, and its files, which lie below the root, are on disk.

        Raises
        ------
        OSError
            If a file is not there, or cannot be stored.
        """
        if not is_remote(self.root):  # the mark must not outlive its voxels when the power fails
            to_disk(Path(str(self.root)) / name for name in files)
        self.write(_mark(block), report)

    def unmark(self, block: Block) -> None:
        """A block is to be made again."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / _mark(block)).unlink()

    def files_of_level(self, level: int) -> Callable[[str], bool]:
        """A function that tells whether a file of a level is there; each folder is listed once."""
        if is_remote(self.root):
            forget_listings(self.root)
            remote: Any = self.root  # a UPath, which has a file system
            start = len(remote.path) + 1
            found = {name[start:] for name in remote.fs.find(f"{remote.path}/{level}")}
            return found.__contains__
        root = str(self.root)

        @lru_cache(maxsize=16)
        def names(folder: str) -> frozenset[str]:
            try:
                return frozenset(os.listdir(os.path.join(root, folder)))
            except FileNotFoundError:
                return frozenset()

        def there(name: str) -> bool:
            folder, _, last = name.rpartition("/")
            return last in names(folder)

        return there

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

    def write(self, name: str, values: dict[str, Any]) -> None:
        """Write a file of the record, complete or not at all."""
        path, text = self._folder / name, json.dumps(values)
        if is_remote(path):
            path.write_text(text, encoding="utf-8")
            return
        assert isinstance(path, Path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text, on_disk=True)


def _mark(block: Block) -> str:
    return f"done/{block.level}/{block.index // _IN_A_FOLDER}/{block.index}.json"


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
