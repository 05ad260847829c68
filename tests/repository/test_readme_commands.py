"""The list in docs/command-line.md, run as it is printed, from top to bottom in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from support.documents import REPOSITORY, commands
from tsain_core.cli import fetch_sample, main

LIST = REPOSITORY / "docs" / "command-line.md"


def test_the_list_names_every_output_once() -> None:
    lines = commands(LIST, "tsain info")
    made = [words[3] for line in lines if (words := line.split())[1] == "interpolate"]
    made += re.findall(r"--output (\S+)", "\n".join(lines))
    assert len(made) == len(set(made)) >= 10


@pytest.mark.slow
def test_every_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All but those that need a network; on a small phantom, to spare time."""
    monkeypatch.setattr(fetch_sample, "_SHAPE", (20, 64, 64))
    monkeypatch.chdir(tmp_path)
    for line in commands(LIST, "tsain info"):
        if "fetch-sample" in line and "phantom" not in line:
            continue
        words = shlex.split(line.replace("--minutes 1", "--minutes 0.01"))
        assert words.pop(0) == "tsain"
        code = main(words)
        error = capfd.readouterr().err
        assert code == 0, f"{line}: {error[-2000:]}"
        assert "Traceback" not in error, line
