"""Damaged files of all formats: a short run of the script that tries many."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support import REPOSITORY

SCRIPT = REPOSITORY / "benchmarks" / "fuzz_readers.py"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")


def run(*options: str) -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), "--processes", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_damaged_files_are_read_or_refused_in_a_line() -> None:
    code, output = run("--count", "150", "--seed", "7")
    assert code == 0, output
    assert " 0 faults" in output


def test_faults_are_noticed() -> None:
    code, output = run("--count", "2", "--seconds", "0")
    assert code == 1, output
    assert "2 x hang" in output
