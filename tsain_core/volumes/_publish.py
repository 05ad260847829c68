"""Hidden siblings of a result: how it takes its name, and what killed processes left.

.NAME.partial-PID   a result in the making
.NAME.old-PID       what it replaces, for the moment in which the name changes hands

Who calls these functions holds the `OutputLock` of the result.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ..errors import TsainError, argument, first_line

#: What marks the root of a Zarr.
_ZARR_METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
_ZARR_ROOTS = ("zarr.json", ".zgroup", ".zarray")
#: Left by file managers.
_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")
#: What network shares and some file systems answer to fsync: there is no such thing here.
_NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What they answer where something could not be stored.
_LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
_THREADS = 8  # that wait for the disk


def partial_path(path: Path) -> Path:
    """Where this process makes what will be `path`."""
    return path.with_name(f".{path.name}.partial-{os.getpid()}{path.suffix}")


def publish(partial: Path, path: Path, overwrite: bool, *, on_disk: bool = False) -> None:
    """Give a complete result its name.

    A file replaces a file in one step. A folder cannot: the old one steps aside first, and comes
    back if the new one cannot take its place.

    Parameters
    ----------
    partial, path : Path
    overwrite : bool
        Replace what has the name.
    on_disk : bool
        The chunks of a Zarr were passed to `to_disk` before; only its metadata are left.

    Raises
    ------
    TsainError
        If something took the name in the meantime, and may not be replaced.
    OSError
        If it cannot be renamed.
    """
    to_disk(_files(partial, metadata_only=on_disk))
    if os.path.lexists(path):
        if not overwrite:
            raise TsainError(
                f"{path} appeared while the result was being made; run again with another "
                f"name, or with {argument('overwrite')}."
            )
        check_replaceable(path, partial.is_dir())
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
    with suppress(OSError):  # the result is complete; some shares and systems cannot do this
        _fsync(path.parent)


def check_replaceable(path: Path, by_folder: bool) -> None:
    """Refuse to replace anything but a file by a file, and a Zarr by a Zarr.

    Parameters
    ----------
    path : Path
        What has the name of the result; there may be nothing.
    by_folder : bool
        Whether the result is a Zarr, which is a folder.

    Raises
    ------
    TsainError
        If it is something else: a folder with other things in it, a device, a link to nothing.
    """
    if not os.path.lexists(path):
        return
    if not path.exists():
        raise _not_replaced(path, "is a link to something that is not there")
    if path.is_dir():
        if not by_folder:
            raise _not_replaced(path, "is a folder, and the result is a file")
        if foreign := _no_zarr(path):
            raise _not_replaced(path, f"is a folder {foreign}, and only a Zarr is replaced")
    elif not path.is_file():
        raise _not_replaced(path, "is a device or a pipe, and only a file is replaced")
    elif by_folder:
        raise _not_replaced(path, "is a file, and the result is a folder")


def _not_replaced(path: Path, what: str) -> TsainError:
    return TsainError(f"{path} {what}; choose a name that is free, or remove it yourself.")


def _no_zarr(folder: Path) -> str:
    """What shows that a folder is no Zarr as a whole; empty if it is one."""
    names = sorted(entry.name for entry in folder.iterdir())
    if not any(name in _ZARR_ROOTS for name in names):
        return "without the metadata of a Zarr"
    array = ".zarray" in names or "c" in names
    for name in names:
        entry = folder / name
        if name in _ZARR_METADATA or name in _LITTER:
            known = entry.is_file()
        elif array and re.fullmatch(r"c|\d+([./]\d+)*", name):
            known = True  # chunks
        else:
            known = entry.is_dir() and any((entry / root).is_file() for root in _ZARR_ROOTS)
        if not known:
            return f"that holds {name!r}, which is no part of a Zarr"
    return ""


def cannot_write(path: object, error: OSError, size: int | None = None) -> TsainError:
    """What to do about a result that cannot be written; `size` in bytes, where it is known."""
    if error.errno in _FULL:
        need = f"up to {size / 2**20:.0f} MiB are required: " if size else ""
        remedy = f"the disk is full, or your share of it; {need}free some, or write elsewhere"
    elif error.errno == errno.ENAMETOOLONG:
        remedy = "choose a shorter name"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "you may not write there; choose another folder, or change its permissions"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        remedy = "a part of the path is a file, not a folder; choose another folder"
    else:
        remedy = "write elsewhere, or see to the disk"
    return TsainError(f"{path} cannot be written ({first_line(error)}): {remedy}.")


def to_disk(files: Iterable[Path]) -> None:
    """Wait until files are on disk, and known in their folders.

    File systems that know no fsync are no failure.

    Raises
    ------
    OSError
        If a file is not there, or cannot be stored.
    """
    found = list(files)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="tsain-fsync") as threads:
        for done in threads.map(_fsync, [*found, *{path.parent for path in found}]):
            assert done is None


def _files(partial: Path, metadata_only: bool) -> list[Path]:
    if partial.is_file():
        return [partial]
    if metadata_only:  # of the group and of its arrays
        names = [f"{level}{name}" for level in ("", "*/") for name in _ZARR_METADATA]
        return [path for name in names for path in partial.glob(name)]
    return list(files_in(partial))


def files_in(folder: Path) -> Iterator[Path]:
    """All files below a folder."""
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names)


def _fsync(path: Path) -> None:
    folder = path.is_dir()
    if folder and not hasattr(os, "O_DIRECTORY"):
        return  # such systems cannot open a folder
    mode = os.O_RDWR if os.name == "nt" else os.O_RDONLY  # Windows needs the right to write
    try:
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY if folder else mode)
    except OSError:
        if folder:  # it may be written to, and not be listed
            return
        raise
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno in _LOST or not (folder or error.errno in _NO_FSYNC):
            raise
    finally:
        os.close(number)


def clear_away(path: Path) -> None:
    """Remove what killed processes left beside `path`; give back a name they had taken."""
    for kind in ("old", "partial"):
        for left in path.parent.glob(f"{glob.escape(f'.{path.name}.{kind}-')}*"):
            if kind == "old" and not os.path.lexists(path):
                left.rename(path)
            else:
                remove(left)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        path.unlink(missing_ok=True)
