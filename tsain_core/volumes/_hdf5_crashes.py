"""HDF5 files whose damage crashes the HDF5 library are refused before the library opens them here.

The library reads the structure of a file in native code that trusts it. A process of its own reads
it first; if that process dies, the file is damaged, and this one lives.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock, Timer

from ..errors import TsainError
from ._guard import DAMAGED

_LONGEST = 120.0  # seconds to read the structure of a file
_SCRIPT = Path(__file__).with_name("_hdf5_taster.py")


def check_harmless(path: Path, dataset: str | None = None) -> None:
    """Refuse a file whose structure crashes the HDF5 library.

    Parameters
    ----------
    path : Path
        A regular file.
    dataset : str, optional
        What will be read of it; by default only what there is in the file.

    Raises
    ------
    TsainError
    """
    try:
        found = path.stat()
    except OSError:
        return  # said by who opens it
    if not _harmless(str(path.resolve()), dataset, found.st_mtime_ns, found.st_size):
        raise TsainError(
            f"{path.name} cannot be read as HDF5 (the HDF5 library crashes on its structure, or "
            f"reads it without end). {DAMAGED}."
        )


@lru_cache(maxsize=256)
def _harmless(path: str, dataset: str | None, _changed: int, _size: int) -> bool:
    return _taster(os.getpid()).survives(path, dataset)


@lru_cache(maxsize=1)
def _taster(_process: int) -> _Taster:
    """One for each process, also for one that was forked."""
    return _Taster()


class _Taster:
    """The other process; a new one after each that died."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._useless = False  # it cannot start here
        atexit.register(self._stop)

    def survives(self, path: str, dataset: str | None) -> bool:
        """Whether it answers; True where no process can be started."""
        with self._lock:
            if self._useless or (self._process is None and not self._start()):
                return True
            process = self._process
            assert process is not None and process.stdin is not None and process.stdout is not None
            timer = Timer(_LONGEST, process.kill)
            timer.daemon = True
            timer.start()
            try:
                process.stdin.write(json.dumps([path, dataset]) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except OSError:
                answer = ""
            finally:
                timer.cancel()
            if not answer:
                self._stop()
            return bool(answer)

    def _start(self) -> bool:
        # -P: the script's folder, this package, is no place to import from
        command = [sys.executable, "-P", str(_SCRIPT)]
        with suppress(OSError):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            if process.stdout is not None and process.stdout.readline():  # it is ready
                self._process = process
                return True
        self._useless = True
        return False

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
