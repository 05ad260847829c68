"""The list in docs/command-line.md, run as it is printed, from top to bottom in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import REPOSITORY, commands

LIST = REPOSITORY / "docs" / "command-line.md"


def test_the_list_names_every_output_once() -> None:
    lines = commands(LIST, "tsain info")
    made = [words[3] for line in lines if (words := line.split())[1] == "interpolate"]
    made += re.findall(r"--output (\S+)", "\n".join(lines))
    assert len(made) == len(set(made)) >= 10


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path) -> None:
    """All but those that need a network."""
    starter = f'{sys.executable} -m tsain_core.cli "$@"'
    program = tmp_path / "bin" / "tsain"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {starter}\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    environment |= {"TSAIN_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)}
    folder = tmp_path / "empty"
    folder.mkdir()
    for line in commands(LIST, "tsain info"):
        if "fetch-sample" in line and "phantom" not in line:
            continue
        done = subprocess.run(
            line, shell=True, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr
