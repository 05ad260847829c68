"""Hidden siblings of a result: how it takes its name, and what killed processes left.

.NAME.partial-PID   a result in the making
.NAME.old-PID       what it replaces, for the moment in which the name changes hands
"""

from __future__ import annotations

import glob
import os
import shutil
import time
from pathlib import Path

from ..errors import TsainError

#: When this process began, near enough; a second is left for file systems with coarse clocks.
_STARTED = time.time() - 1


def partial_path(path: Path) -> Path:
    """Where this process makes what will be `path`."""
    return path.with_name(f".{path.name}.partial-{os.getpid()}{path.suffix}")


def publish(partial: Path, path: Path, overwrite: bool) -> None:
    """Give a complete result its name.

    A file replaces a file in one step. A folder cannot: the old one steps aside first, and comes
    back if the new one cannot take its place.

    Raises
    ------
    TsainError
        If something took the name in the meantime, and may not be replaced.
    OSError
        If it cannot be renamed.
    """
    _to_disk(partial)
    if os.path.lexists(path) and not overwrite:
        raise TsainError(
            f"{path} appeared while the result was being made; needed is a name that is free: "
            "run again with another, or with --overwrite."
        )
    if path.is_dir():
        old = path.with_name(f".{path.name}.old-{os.getpid()}")
        path.rename(old)
        try:
            partial.rename(path)
        except BaseException:
            old.rename(path)
            raise
        remove(old)
    else:
        os.replace(partial, path)
    if hasattr(os, "O_DIRECTORY"):  # elsewhere folders cannot be opened
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _to_disk(partial: Path) -> None:
    if partial.is_file():
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
    elif hasattr(os, "sync"):
        os.sync()  # one call for all chunks, of which there may be a million


def clear_away(path: Path) -> None:
    """Remove what killed processes left beside `path`; give back a name they had taken.

    Raises
    ------
    TsainError
        If this very process is writing to `path`.
    """
    for kind in ("old", "partial"):
        prefix = f".{path.name}.{kind}-"
        for left in path.parent.glob(f"{glob.escape(prefix)}*"):
            pid = left.name.removeprefix(prefix).partition(".")[0]
            if not pid.isdigit() or _alive(int(pid), left):
                if left == partial_path(path):
                    raise TsainError(
                        f"{path} is being written already; needed is a name of its own for each "
                        "result: wait for it, or choose another."
                    )
            elif kind == "old" and not os.path.lexists(path):
                left.rename(path)
            else:
                remove(left)


def _alive(pid: int, left: Path) -> bool:
    if pid == os.getpid():  # ours, or of a dead process whose number we got, as in containers
        return left.stat().st_mtime >= _STARTED
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        path.unlink(missing_ok=True)
