"""Images that lie in a result, such as labels: made before it takes its name, seen with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..volumes._publish import files_in, remove, to_disk
from .run_store import FOLDER


@dataclass(frozen=True)
class Beside:
    """A group of an OME-Zarr result that is not computed block by block.

    Attributes
    ----------
    name : str
        Of the group, below the result.
    make : callable (Path) -> iterator of (done, total)
        Writes the group at a path, in steps. What an interrupted run of the same settings left of
        it may be there.
    """

    name: str
    make: Callable[[Path], Iterator[tuple[int, int]]]


@dataclass(frozen=True)
class BesideProgress:
    """How much of a group beside the image is done: steps, and of how many."""

    name: str
    done: int
    total: int


def make_beside(root: Path, beside: Sequence[Beside]) -> Iterator[BesideProgress]:
    """Make the groups of a result, out of sight.

    Parameters
    ----------
    root : Path
        Where the result grows.
    beside : sequence of Beside
    """
    for part in beside:
        folder = _place(root, part)
        folder.parent.mkdir(parents=True, exist_ok=True)
        for done, total in part.make(folder):
            yield BesideProgress(part.name, done, total)
        to_disk(files_in(folder))


def put_in_place(root: Path, beside: Sequence[Beside], levels: int) -> None:
    """Move the groups to where they belong; no other group stays in the result.

    Parameters
    ----------
    root : Path
    beside : sequence of Beside
    levels : int
        Arrays "0", "1", ... of the image.
    """
    mine = {FOLDER, *(str(level) for level in range(levels))}
    for entry in root.iterdir():
        if entry.is_dir() and entry.name not in mine:
            remove(entry)  # of a run that was stopped just before its result took its name
    for part in beside:
        _place(root, part).rename(root / part.name)


def _place(root: Path, part: Beside) -> Path:
    return root / FOLDER / "beside" / part.name
