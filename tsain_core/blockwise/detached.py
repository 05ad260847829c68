"""A blockwise run in a process of its own, which goes on when its starter ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import TsainError
from ..system.folders import user_folder
from ..system.processes import launch_detached
from ..volumes._locations import is_remote, locate
from .run_store import FOLDER, RunStore, staging

_LAST_WORDS = 2000  # characters of the log in which an error is looked for


class DetachedRun:
    """Starts `tsain interpolate`, and watches what it leaves on disk.

    Parameters
    ----------
    words : sequence of str
        The command, without `tsain`.
    output : path or URL
    """

    def __init__(self, words: Sequence[str], output: str) -> None:
        self._output = locate(output)
        self.log = user_folder() / "runs" / f"{self._output.name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tsain_core.cli", *words]
        self._process = launch_detached(command, self.log)
        self._total: int | None = None

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def progress(self) -> tuple[int, int]:
        """(blocks done, blocks in all); (0, 0) before there is a plan."""
        root = staging(self._output)
        if self._total is None:
            try:
                plan = RunStore(root).plan()
            except (TsainError, OSError):
                return 0, 0
            if plan is None:
                return 0, 0
            self._total = sum(len(grid) for grid in plan.grids())
        if is_remote(root):
            return 0, self._total  # listing a bucket every second costs money
        marks = (Path(str(root)) / FOLDER / "done").glob("*/*/[0-9]*.json")
        return sum(1 for _ in marks), self._total

    def check(self) -> None:
        """Say why the process failed, if it did.

        Raises
        ------
        TsainError
            In its own words.
        """
        code = self._process.poll()
        if not code:
            return
        text = self.log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]
        lines = [line for line in text.replace("\r", "\n").splitlines() if "tsain: " in line]
        why = lines[-1].partition("tsain: ")[2] if lines else f"it ended with {code}"
        raise TsainError(why if lines else f"The run failed ({why}); its log is {self.log}.")

    def cancel(self) -> None:
        """Interrupt it; finished blocks are kept for the same command."""
        # not SIGINT, which a napari that a script started in the background has had ignored
        self._process.terminate()
