"""The list in docs/command-line.md, run as it is printed, from top to bottom in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documents import REPOSITORY, commands

from tsain_core.volumes import create_volume, open_volume

LIST = REPOSITORY / "docs" / "command-line.md"


def test_the_list_names_every_output_once() -> None:
    lines = commands(LIST, "tsain info")
    made = [words[3] for line in lines if (words := line.split())[1] == "interpolate"]
    made += re.findall(r"--output (\S+)", "\n".join(lines))
    assert len(made) == len(set(made)) >= 10


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path) -> None:
    """All but those that need a network; on a corner of the phantom, to spare time."""
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
        line = line.replace("--minutes 1", "--minutes 0.2")
        done = subprocess.run(
            line, shell=True, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}: {done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr
        if "fetch-sample phantom" in line:
            keep_a_corner(folder / "stack.tif")


def keep_a_corner(path: Path) -> None:
    """Crop a stack to its first 96 x 96 pixels, with all that it says."""
    volume = open_volume(path)
    images = [np.asarray(volume[z])[:96, :96] for z in range(volume.shape[0])]
    with create_volume(
        path,
        (len(images), 96, 96),
        volume.dtype,
        voxel_size=volume.voxel_size,
        unit=volume.unit,
        overwrite=True,
    ) as writer:
        for z, image in enumerate(images):
            writer.write(z, image)
