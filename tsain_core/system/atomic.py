"""Files that appear under their name when they are complete, and replace others in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, on_disk: bool = False) -> Iterator[Path]:
    """A hidden name beside a file, with its suffix, which becomes the file at the end.

    An error leaves the file as it was, and nothing beside it.

    Parameters
    ----------
    path : Path
        The file; its folder must be there.
    on_disk : bool
        Wait until the content is on disk, so that it survives a loss of power.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    OSError
        If it cannot be written or renamed.
    """
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        if on_disk:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, on_disk: bool = False) -> None:
    """Write a text file in UTF-8, complete or not at all; see `replacing`."""
    with replacing(path, on_disk=on_disk) as partial:
        partial.write_text(text, encoding="utf-8")
