"""Memory of the process: kept for the next layer while a network runs, given back afterwards.

A network on CPU allocates and frees feature maps of tens of megabytes at every layer. glibc takes
such blocks from the system one by one, which clears each of their pages again: on slices of 1024 x
1024 pixels that cost as much as the convolutions. The settings hold for the whole process, so they
are changed only while something is computed; napari gets its own back.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import psutil

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # <malloc.h>
_NEVER = 2**31 - 1
_NONE = 0
_MMAP_MAX, _TRIM_THRESHOLD = 65536, 128 * 1024  # glibc's own


@cache
def _libc() -> Any:
    """The C library, if it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  # missing from others, such as musl
    except (OSError, AttributeError):
        return None
    return library


class _Allocator:
    """Settings of the C library's allocator, which hold for the whole process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0

    def begin(self) -> None:
        """Keep what is freed, until every user has ended."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._set(_NONE, _NEVER)

    def end(self) -> None:
        """The usual settings again, if this was the last user; gives free memory back."""
        with self._lock:
            self._users -= 1
            if not self._users:
                self._set(_MMAP_MAX, _TRIM_THRESHOLD)
        return_freed_memory()

    @staticmethod
    def _set(mmap_max: int, trim_threshold: int) -> None:
        library = _libc()
        if library is not None:
            library.mallopt(_M_MMAP_MAX, mmap_max)
            library.mallopt(_M_TRIM_THRESHOLD, trim_threshold)


_ALLOCATOR = _Allocator()


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """While this runs, what is freed is kept for the next allocation; without glibc, nothing."""
    _ALLOCATOR.begin()
    try:
        yield
    finally:
        _ALLOCATOR.end()


@cache
def keep_freed_memory() -> None:
    """As `keeping_freed_memory`, to the end: for processes that do nothing but compute."""
    _ALLOCATOR.begin()


def return_freed_memory() -> None:
    """Give free memory back to the system; does nothing without glibc."""
    library = _libc()
    if library is not None:
        library.malloc_trim(0)


def available_memory() -> int:
    """Bytes of main memory that programs can take now, without swapping."""
    return int(psutil.virtual_memory().available)


def resident_memory() -> int:
    """Bytes of main memory that this process has taken (resident set size)."""
    return int(psutil.Process().memory_info().rss)


def peak_memory() -> int:
    """Most bytes of memory that this process ever took (resident set size)."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    from resource import RUSAGE_SELF, getrusage

    with suppress(OSError):  # getrusage counts what the parent took before the fork
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = getrusage(RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
