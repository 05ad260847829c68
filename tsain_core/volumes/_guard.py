"""The guard at the door of each reader: whatever a damaged file raises becomes one line."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import TsainError, TsainWarning, first_line

DAMAGED = "The file is damaged or incomplete: copy it again"

#: Error number -> what is wrong and what helps.
_BY_NUMBER = {
    errno.ENOENT: "There is no such file: check the name",
    errno.EACCES: "You may not read it: change its permissions",
    errno.EPERM: "You may not read it: change its permissions",
    errno.ENAMETOOLONG: "The name is too long for this file system: shorten it",
    errno.ELOOP: "Its links lead in a circle: give the file itself",
    errno.EMFILE: "Too many files are open: close some, or raise the limit (ulimit -n)",
    errno.ENFILE: "Too many files are open: close some programs",
    errno.ENOMEM: "There is not enough memory: close other programs, or use a bigger machine",
    errno.EAGAIN: "Another program is writing to it: wait for it, or close the file there",
    errno.EIO: "The disk or network share does not answer: check it, then try again",
    errno.ESTALE: "The network share has gone: mount it again, then try again",
    errno.ENOTCONN: "The network share has gone: mount it again, then try again",
    errno.EHOSTDOWN: "The server does not answer: check address and network, then try again",
    errno.EHOSTUNREACH: "The server does not answer: check address and network, then try again",
    errno.ETIMEDOUT: "The server does not answer in time: check the network, then try again",
}
_SERVER = "The server cannot be reached: check address and network, then try again"

#: Words in a library's message -> what is wrong and what helps. The first that fits is taken.
_BY_WORDS = (
    (("unable to lock file", "already open for write"), _BY_NUMBER[errno.EAGAIN]),
    (("imagecodecs", "<compression.", "required filter", "filter plugin", "no codec",
      "codec not available"),
     "Its compression needs a codec that is not installed: install that, or save it with zlib "
     "(gzip) compression or none"),
    (("not a tiff file",), "It is no TIFF file, or damaged: check what it is, or copy it again"),
    (("name or service not known", "cannot connect to host", "could not connect to the endpoint"),
     _SERVER),
    (("access denied", "forbidden", "unable to locate credentials"),
     "The server does not let you read it: check your credentials"),
)  # fmt: skip

#: Packages whose errors speak of a network.
_NETWORK = ("aiohttp", "botocore", "aiobotocore", "urllib3", "requests", "socket", "ssl")

_KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@contextmanager
def reading(title: str, kind: str = "") -> Iterator[None]:
    """Turn any error of a library into a line with a remedy that is true.

    Parameters
    ----------
    title : str
        What is read, for the message: the name of a file, a slice of it.
    kind : str, optional
        Format that it is read as.

    Raises
    ------
    TsainError
        For any exception in the block; one that is a TsainError passes as it is.

    Examples
    --------
    >>> with reading(path.name, "MRC"):
    ...     file = mrcfile.mmap(path)
    """
    try:
        yield
    except (TsainError, TsainWarning):  # a warning, where the user wants them to be errors
        raise
    except Exception as error:  # libraries raise errors of many kinds for damaged files
        raise unreadable(title, error, kind) from error


def unreadable(title: str, error: Exception, kind: str = "") -> TsainError:
    """The error for what a library could not read."""
    kind = f" as {kind}" if kind else ""
    return TsainError(f"{title} cannot be read{kind} ({first_line(error)}). {remedy(error)}.")


def remedy(error: BaseException | None) -> str:
    """What is wrong and what helps, by the first error of a chain that tells."""
    while error is not None:
        number = getattr(error, "errno", None)
        if isinstance(error, OSError) and number in _BY_NUMBER:
            return _BY_NUMBER[number]
        if isinstance(error, MemoryError):
            return _BY_NUMBER[errno.ENOMEM]
        text = str(error).lower()
        for words, advice in _BY_WORDS:
            if any(word in text for word in words):
                return advice
        of_network = type(error).__module__.partition(".")[0] in _NETWORK
        if of_network or isinstance(error, (ConnectionError, TimeoutError)):
            return _SERVER
        error = error.__cause__ or error.__context__
    return DAMAGED


def require_regular(path: str | os.PathLike[str], owner: str = "") -> None:
    """Refuse what a program can wait for without end: pipes, devices, sockets, links to them.

    Files and folders pass. Nothing is opened.

    Parameters
    ----------
    path : path
    owner : str, optional
        The file that names `path`, for the message.

    Raises
    ------
    TsainError
        Also if there is nothing, or it may not be looked at.
    """
    path = Path(path)
    name = f"{path.name}, which {owner} names," if owner else path.name or str(path)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        if _is_link(path) and isinstance(error, FileNotFoundError):
            raise TsainError(
                f"{name} is a link to {os.readlink(path)}, where nothing is: mend the link, or "
                "give the file itself."
            ) from error
        raise unreadable(name, error) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        found = _KINDS.get(stat.S_IFMT(mode), "no file")
        raise TsainError(f"{name} is {found}; a regular file is required: save the data in one.")


def _is_link(path: Path) -> bool:
    # also False for names that cannot be looked up
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False
