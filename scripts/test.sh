#!/usr/bin/env bash
# Sets everything up and runs all checks: ruff, mypy, pytest. Arguments are passed on to pytest.
# Pytest comes last and always runs; the exit status is that of the first check that failed.
set -euo pipefail
# shellcheck source=scripts/_setup.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/_setup.sh"

# A virtual screen, and the libraries that Qt loads but its wheels do not carry.
set_up napari,test \
    xvfb libgl1 libegl1 libdbus-1-3 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 \
    libxcb-keysyms1 libxcb-image0 libxcb-render-util0 libxcb-xkb1 libxcb-xinerama0 \
    libxcb-shape0 libfontconfig1 libglib2.0-0

# Else each of the suite's processes compiles what it imports, and pytest all that it may rewrite.
unset PYTHONDONTWRITEBYTECODE

status=0

check() {
    local result=0
    say "== $*"
    "$@" || result=$?
    [[ $result -eq 0 ]] || say "== FAILED: $* (going on to the next check)"
    [[ $status -ne 0 ]] || status=$result
}

check ruff check .
check ruff format --check .
check mypy
# Files of tests run side by side, a process for each core; tests/conftest.py gives each one thread.
pytest -n auto --maxprocesses 4 --dist loadfile --durations 40 "$@" || { result=$?; [[ $status -ne 0 ]] || status=$result; }
exit "$status"
