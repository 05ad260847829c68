"""The list in docs/command-line.md, run as it is printed, from top to bottom in an empty folder."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

import pytest
from documents import REPOSITORY, commands

from tsain_core.cli import main

LIST = REPOSITORY / "docs" / "command-line.md"
_SMALL = (20, 64, 64)  # of the generated stack, which is larger for users


def test_the_list_names_every_output_once() -> None:
    lines = commands(LIST, "tsain info")
    made = [words[3] for line in lines if (words := line.split())[1] == "interpolate"]
    made += re.findall(r"--output (\S+)", "\n".join(lines))
    assert len(made) == len(set(made)) >= 10


@pytest.mark.slow
def test_every_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All but those that need a network, on a smaller stack, in one process."""
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tsain_core.cli.fetch_sample._SHAPE", _SMALL)
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    took = {}
    for line in commands(LIST, "tsain info"):
        if "fetch-sample" in line and "phantom" not in line:
            continue
        program, *words = shlex.split(re.sub(r"--minutes \S+", "--minutes 0.05", line))
        assert program == "tsain"
        began = time.monotonic()
        code = main(words)
        took[line] = time.monotonic() - began
        said = capfd.readouterr()
        assert code == 0, f"{line}: {said.err[-2000:]}"
        assert "Traceback" not in said.err
    made = {path.name for path in folder.iterdir()}
    assert {"stack.tif", "three.h5", "iso.zarr", "report", "mine.safetensors"} <= made, took
