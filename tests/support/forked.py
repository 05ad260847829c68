"""The `tsain` command in processes that need not import its libraries first."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tsain_core.cli import command

_NEEDED = ["tsain_core.cli.interpolate", "tsain_core.blockwise", "tsain_core.ops._cpu_kernels"]


class Forked:
    """`tsain WORDS` in a process and a session of its own, forked from one that is ready.

    For what comes after the imports, which take seconds: kills, files, words, exit codes. It has
    the environment and folder of the moment, and is used as `subprocess.Popen` is.
    """

    def __init__(self, *words: str | Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_NEEDED)
        self._streams = [tempfile.NamedTemporaryFile("r") for _ in range(2)]  # noqa: SIM115
        names = [stream.name for stream in self._streams]
        arguments = [str(word) for word in words], dict(os.environ), os.getcwd(), names
        self._process = context.Process(target=_command, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, minus the signal that ended it, or None while it runs."""
        return self._process.exitcode

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Wait for the end; what it wrote to stdout and to stderr."""
        self._process.join(timeout)
        if self.returncode is None:
            self._process.kill()
            raise subprocess.TimeoutExpired("tsain", timeout)
        out, err = (stream.read() for stream in self._streams)
        for stream in self._streams:
            stream.close()
        return out, err


def _command(words: list[str], environment: dict[str, str], folder: str, names: list[str]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for stream, name in enumerate(names, start=1):
        file = os.open(name, os.O_WRONLY)
        os.dup2(file, stream)
        os.close(file)
    sys.argv = ["tsain", *words]
    command()
