"""Memory of the process: kept for the next layer while a network runs, given back afterwards.

A network on CPU allocates and frees feature maps of tens of megabytes at every layer. glibc takes
such blocks from the system one by one, which clears each of their pages anew: on slices of 1024 x
1024 pixels that cost as much as the convolutions.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # <malloc.h>
_NEVER = 2**31 - 1


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


@cache
def keep_freed_memory() -> None:
    """From now on, keep what is freed for the next allocation; does nothing without glibc."""
    library = _libc()
    if library is not None:
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, _NEVER)


def return_freed_memory() -> None:
    """Give free memory back to the system; does nothing without glibc."""
    library = _libc()
    if library is not None:
        library.malloc_trim(0)
