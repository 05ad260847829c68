"""One process at a time makes a result: a lock beside it, taken in one step.

::

    .NAME.lock          the process that makes NAME, and a token of this lock
    .NAME.lock.TOKEN    the process that takes over the lock TOKEN, whose owner is dead

Creating a file that must not be there yet is one step on local disks, network shares and S3. Who
takes over a dead lock has to take another lock first, which is called by the dead one's token, and
then to find that token still in place: so a lock that someone has taken over meanwhile is safe.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from ..errors import TsainError
from ..system.processes import Liveness, ProcessId, host_name
from ..system.records import Record, RecordError
from ._locations import Location, forget_listings, is_remote
from ._publish import cannot_write

_BEAT = 10.0  # seconds between two signs of life
_SILENT = 120.0  # seconds without one after which a process of another machine may be dead
_DAMAGED = "damaged"  # token of a lock that cannot be read
_WRITING = 10.0  # seconds in which a process fills a file that it has created
_POLL = 0.1  # seconds between two looks at such a file
_TRIES = 100


@dataclass(frozen=True)
class Owner(Record):
    """The process that holds a lock.

    Attributes
    ----------
    host : str
        Machine and container, as far as process numbers mean the same in both.
    pid : int
    started : float
        When it started, in seconds since 1970: numbers are used again.
    token : str
        Of this lock, unique.
    beat : float
        When it was last heard of. Kept for locks behind URLs; files have their time of change.
    """

    host: str
    pid: int
    started: float
    token: str
    beat: float = 0.0

    def __post_init__(self) -> None:
        if not (self.token.isalnum() and len(self.token) < 40):  # becomes part of a file name
            raise ValueError(f"the token is {self.token!r}")

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.partition('/')[0]}" if self.pid else "a process"


class OutputLock:
    """The right to make a result; a context manager.

    Parameters
    ----------
    output : Path or UPath
        Of the result; its folder is made if it is not there.
    """

    def __init__(self, output: Location) -> None:
        self._output = output
        self._path = output.with_name(f".{output.name}.lock")
        me = ProcessId.current()
        self._me = Owner(host_name(), me.pid, me.started, uuid.uuid4().hex[:8])
        self._over = threading.Event()
        self._thread = threading.Thread()

    def take(self) -> OutputLock:
        """Become the only process that makes this result.

        Raises
        ------
        TsainError
            If another one does, or the folder cannot be written to.
        """
        self._over.clear()  # the thread is there before the file: it shows that the owner lives
        self._thread = threading.Thread(target=self._keep, daemon=True, name=_thread(self._me))
        self._thread.start()
        try:
            if not is_remote(self._output):
                self._output.parent.mkdir(parents=True, exist_ok=True)
            _take(self._path, self._me)
        except BaseException as error:
            self._stop()
            if isinstance(error, _Held):
                raise TsainError(
                    f"{self._output} is being written already, by {error.owner}; wait for it, stop "
                    "it, or choose another name."
                ) from error
            if isinstance(error, OSError) and not is_remote(self._output):
                raise cannot_write(self._output, error) from error
            raise
        return self

    def check(self) -> None:
        """See that no other process has taken over, for example while this machine slept.

        Raises
        ------
        TsainError
            If one has.
        """
        owner = _read(self._path)
        if owner is None or owner.token != self._me.token:
            raise TsainError(
                f"{self._output} was taken over by {owner or 'another process'} while this one was "
                "not heard of; nothing was published: repeat the run when that one has ended."
            )

    def release(self) -> None:
        """Let others make this result."""
        self._stop()
        with suppress(OSError):
            owner = _read(self._path)
            if owner is not None and owner.token == self._me.token:
                self._path.unlink()

    def _stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        """Give signs of life until the lock is released."""
        while not self._over.wait(_BEAT):
            with suppress(Exception):  # a share that is away for a while; `check` has the last word
                owner = _read(self._path)
                if owner is not None and owner.token == self._me.token:
                    _beat(self._path, self._me)

    def __enter__(self) -> OutputLock:
        return self.take()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class _Held(Exception):
    """A living process holds the lock."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(str(owner))
        self.owner = owner


def _take(path: Location, me: Owner) -> None:
    owner = me
    for _ in range(_TRIES):
        if _create(path, me):
            return
        found = _whole(path)
        if found is None:  # released in this moment
            time.sleep(0.01)
            continue
        owner = found
        if _lives(owner, path):
            raise _Held(owner)
        claim = path.with_name(f"{path.name}.{owner.token}")
        with _taken(claim, me):
            now = _read(path)
            if now is not None and now.token == owner.token:
                _hand_over(claim, path, me)
                return
    raise _Held(owner)


def _whole(path: Location) -> Owner | None:
    """As `_read`, but a lock that is just being written is waited for until it is too old.

    A process that was killed between making the file and filling it must not stop others.
    """
    found = _read(path)
    while found is not None and found.token == _DAMAGED and _lives(found, path):
        time.sleep(_POLL)
        found = _read(path)
    return found


@contextmanager
def _taken(path: Location, me: Owner) -> Iterator[None]:
    _take(path, me)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):  # it has become the lock itself
            path.unlink()


def _create(path: Location, me: Owner) -> bool:
    """Make the file of a lock; False if it is there already."""
    text = _text_of(me)
    if is_remote(path):
        return _create_object(path, text)
    try:
        number = os.open(str(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
    except BaseException:  # the disk is full
        os.unlink(str(path))
        raise
    return True


def _text_of(me: Owner) -> str:
    """Content of a lock that is alive now."""
    return json.dumps(replace(me, beat=time.time()).to_json())


def _create_object(path: Any, text: str) -> bool:
    """The same behind a URL, where the server decides which of two writers came first."""
    forget_listings(path)
    if path.exists():
        return False
    try:
        path.fs.pipe_file(path.path, text.encode(), mode="create")
    except OSError:  # of another kind for each storage
        forget_listings(path)
        if path.exists():
            return False
        raise
    found = _read(path)  # some servers do not know exclusive writes, and overwrite
    return found is not None and found.token == json.loads(text)["token"]


def _hand_over(claim: Location, path: Location, me: Owner) -> None:
    """Put the lock of a claim in the place of the dead one."""
    if is_remote(path):
        _beat(path, me)
    else:
        os.replace(str(claim), str(path))


def _beat(path: Location, me: Owner) -> None:
    if is_remote(path):
        path.write_text(_text_of(me), encoding="utf-8")
    else:
        os.utime(str(path))


def _read(path: Location) -> Owner | None:
    """Who holds a lock; None if it is free."""
    forget_listings(path)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return Owner.from_text(text)
    except RecordError:
        return Owner("", 0, 0.0, _DAMAGED)


def _lives(owner: Owner, path: Location) -> bool:
    """Whether the process that holds a lock is there."""
    if owner.token == _DAMAGED:  # perhaps only just created; objects behind URLs appear whole
        return not is_remote(path) and _age(owner, path) < _WRITING
    if owner.host == host_name():
        if owner.pid == os.getpid() and not any(
            t.name == _thread(owner) for t in threading.enumerate()
        ):
            return False  # released by this process, which could not remove the file
        found = ProcessId(owner.pid, owner.started).liveness()
        # the clock may have been set since; a process with a used number gives no sign of life
        return found is Liveness.ALIVE or (
            found is Liveness.OTHER and _age(owner, path) < 3 * _BEAT
        )
    if _age(owner, path) < _SILENT:
        return True
    before = _sign(owner, path)  # clocks of two machines may differ, so see whether it changes
    time.sleep(2.5 * _BEAT)
    return _sign(_read(path) or owner, path) != before


def _thread(owner: Owner) -> str:
    """Name of the thread that keeps a lock of this process."""
    return f"tsain-lock-{owner.token}"


def _age(owner: Owner, path: Location) -> float:
    """Seconds since the last sign of life."""
    sign = _sign(owner, path)
    return time.time() - sign if sign else 0.0


def _sign(owner: Owner, path: Location) -> float:
    if is_remote(path):
        return owner.beat
    try:
        return os.stat(str(path)).st_mtime
    except FileNotFoundError:
        return 0.0
