"""Two runs to one result at the same time, again and again: each pair must end as a run alone.

    python benchmarks/race.py --pairs 100

The runs of a pair start within a fraction of a second of each other. One or both may finish; one
may stop with one clear line. Every third pair finds what a killed run has left: its lock and its
finished blocks. What is compared is every file of the result, byte by byte, and of a TIFF
the voxels.

Measured in November 2026 on 2 cores: 100 of 100 pairs equal a run alone (seed 0), 34 of them after
a kill.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import tifffile

_CONTEXT = multiprocessing.get_context("forkserver")
_SUFFIXES = (".zarr", ".zarr", ".zarr", ".tif", ".h5")
_KILLED_AFTER = 1.0  # seconds, at most


def main() -> int:
    """Run the pairs; returns 1 if any differs from a run alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--apart", type=float, default=0.3, help="seconds between two starts, most")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    _CONTEXT.set_forkserver_preload(["tsain_core.cli.interpolate", "tsain_core.blockwise"])
    rng = random.Random(args.seed)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tsain-race-") as name:
        folder = Path(name)
        source = folder / "source.tif"
        stack = np.random.default_rng(args.seed).integers(0, 255, (24, 200, 200), np.uint8)
        stack[5] = stack[6] = 0  # blocks of nothing but the fill value
        tifffile.imwrite(source, stack, photometric="minisblack")
        alone = {suffix: _alone(source, folder / f"alone{suffix}") for suffix in set(_SUFFIXES)}
        for i in range(args.pairs):
            suffix = _SUFFIXES[i % len(_SUFFIXES)]
            output = folder / f"pair{i}{suffix}"
            killed = i % 3 == 0
            if killed:
                _kill(source, output, rng.uniform(0, _KILLED_AFTER))
            results = _pair(source, output, rng.uniform(0, args.apart))
            problem = _problem(output, results, alone[suffix])
            bad += bool(problem)
            codes = ", ".join(str(code) for code, _ in results)
            print(f"pair {i}: {suffix}{' after a kill' if killed else ''}, exit {codes}: "
                  f"{problem or 'as a run alone'}", flush=True)  # fmt: skip
    print(f"{args.pairs - bad} of {args.pairs} pairs equal a run alone")
    return 1 if bad else 0


def _alone(source: Path, output: Path) -> dict[str, bytes]:
    code, text = _pair(source, output)[0]
    if code:
        raise SystemExit(f"A run alone fails: {text}")
    return _content(output)


def _pair(source: Path, output: Path, *apart: float) -> list[tuple[int, str]]:
    """Exit code and text of runs that start so many seconds apart."""
    barrier, answers = _CONTEXT.Barrier(1 + len(apart)), _CONTEXT.Queue()
    runs = [
        _CONTEXT.Process(target=_run, args=(source, output, barrier, seconds, answers))
        for seconds in (0.0, *apart)
    ]
    for run in runs:
        run.start()
    found = [answers.get(timeout=300) for _ in runs]
    for run in runs:
        run.join()
    return found


def _run(source: Path, output: Path, barrier: Barrier, seconds: float, answers: object) -> None:
    from tsain_core.cli import main as tsain

    text = io.StringIO()
    barrier.wait()
    time.sleep(seconds)
    with contextlib.redirect_stderr(text), contextlib.redirect_stdout(text):
        words = ["interpolate", str(source), str(output), "--model", "mean"]
        chunks = ["--chunks", "1", "64", "64"] if output.suffix == ".zarr" else []
        try:
            code = tsain([*words, *chunks])
        except BaseException as error:  # a traceback is a failure of the pair
            code, text = 99, io.StringIO(repr(error))
    answers.put((code, text.getvalue()))  # type: ignore[attr-defined]


def _kill(source: Path, output: Path, after: float) -> None:
    """Leave what a run leaves that is killed in the middle."""
    barrier, answers = _CONTEXT.Barrier(2), _CONTEXT.Queue()
    run = _CONTEXT.Process(target=_run, args=(source, output, barrier, 0.0, answers))
    run.start()
    barrier.wait()
    run.join(after)
    if run.is_alive() and run.pid:
        run.kill()
    run.join()
    if run.exitcode == -signal.SIGKILL:
        return
    _remove(output)  # it was faster


def _remove(path: Path) -> None:
    import shutil

    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _problem(output: Path, results: list[tuple[int, str]], alone: dict[str, bytes]) -> str:
    """What is wrong with the result of a pair; empty if nothing is."""
    for code, text in results:
        lines = [line for line in text.splitlines() if line.startswith("tsain: ")]
        if code not in (0, 1) or (code == 1 and len(lines) != 1):
            return f"exit {code}: {text[-500:]}"
        if code == 1 and not any(word in lines[0] for word in ("already", "exists", "appeared")):
            return lines[0]
    if all(code for code, _ in results):
        return "no run finished"
    left = [p.name for p in output.parent.iterdir() if p.name.startswith(f".{output.name}")]
    if left:
        return f"left behind: {', '.join(left)}"
    found = _content(output)
    if found.keys() != alone.keys():
        return f"{len(alone.keys() - found.keys())} files are missing"
    different = [name for name in alone if found[name] != alone[name]]
    return f"{len(different)} files differ, first {different[0]}" if different else ""


def _content(output: Path) -> dict[str, bytes]:
    """Name -> bytes of every file; the name of an image is its output's."""
    if output.suffix == ".tif":  # has an identifier of its own in its metadata
        return {"voxels": tifffile.imread(output).tobytes()}
    if output.is_file():
        return {"": output.read_bytes()}
    name = output.name.encode()
    return {
        str(path.relative_to(output)): path.read_bytes().replace(name, b"NAME")
        for path in output.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    sys.exit(main())
