"""Open damaged files of all formats: each must be read, or be refused in one line.

    python benchmarks/fuzz_readers.py --count 10000
    python benchmarks/fuzz_readers.py --only 4711 --keep damaged/

Small stacks are damaged by a seed, opened and read in processes of their own. Counted as faults
are errors other than TsainError, refusals of more than a line, processes that die, files that take
longer than the limit, and those for which more memory is needed than the limit.

Measured with HDF5 2.0, zarr 3.1 and tifffile of November 2026, 1 GiB of memory and 20 s for a
file: of 10,000 files each, seed 1 had 2207 read, 7793 refused in a line and 0 faults; seed 11 had
2217 read, 7783 refused and 0 faults.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_MOST_VALUES = 1 << 27  # of a stack that is read whole
_STARTING = 120.0  # seconds that a process has to import its packages


@dataclass(frozen=True)
class Outcome:
    """What came of a damaged file; `fault` is empty where it was read or refused."""

    index: int
    sample: str
    fault: str = ""
    detail: str = ""
    refusal: str = ""


def run(
    count: int,
    seed: int = 0,
    processes: int = 2,
    seconds: float = 20.0,
    memory: int = 1 << 30,
    first: int = 0,
    keep: Path | None = None,
) -> Iterator[Outcome]:
    """Try damaged files; yields an outcome for each, in no order.

    Parameters
    ----------
    count, first : int
        The files first to first + count - 1 of the seed.
    seed : int
    processes : int
    seconds : float
        Longest time for a file.
    memory : int
        Bytes that a process may allocate beyond what it has after its imports.
    keep : path, optional
        Folder for the damaged files that are faults.
    """
    from fuzz_samples import make_samples

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        samples = Path(folder, "samples")
        samples.mkdir()
        make_samples(samples)
        runners = [_Runner(samples, seed, seconds, memory, keep) for _ in range(processes)]
        with ThreadPoolExecutor(processes) as pool:
            shares = [range(first + i, first + count, processes) for i in range(processes)]
            queues = [
                pool.submit(lambda r, share: list(map(r.outcome, share)), runner, share)
                for runner, share in zip(runners, shares, strict=True)
            ]
            for queue in queues:
                yield from queue.result()
        for runner in runners:
            runner.stop()


class _Runner:
    """A process that opens files, and its successors."""

    def __init__(
        self, samples: Path, seed: int, seconds: float, memory: int, keep: Path | None
    ) -> None:
        self._arguments = (samples, seed, memory, keep)
        self._seconds = seconds
        self._process: Any = None
        self._pipe: Connection | None = None

    def outcome(self, index: int) -> Outcome:
        """Of the file of an index."""
        pipe = self._pipe or self._start()
        began = time.monotonic()
        try:
            pipe.send(index)
            if pipe.poll(self._seconds):
                result: Outcome = pipe.recv()
                return result
            fault, detail = "hang", f"{time.monotonic() - began:.0f} s"
        except (EOFError, ConnectionError):
            self._process.join(5)
            fault, detail = "crash", f"exit code {self._process.exitcode}"
        self.stop()
        samples, seed, *_ = self._arguments
        return Outcome(index, _sample(samples, seed, index)[0].name, fault, detail)

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, *self._arguments), daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(_STARTING):
            raise RuntimeError("The process that reads did not start.")
        self._pipe.recv()
        return self._pipe

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None


def _sample(samples: Path, seed: int, index: int) -> tuple[Path, random.Random]:
    """The sample that is damaged, and the dice for it."""
    dice = random.Random(f"{seed}:{index}")
    return dice.choice(sorted(samples.iterdir())), dice


def _serve(pipe: Connection, samples: Path, seed: int, memory: int, keep: Path | None) -> None:
    """The process: open the files whose indices come."""
    warnings.simplefilter("ignore")
    import fuzz_samples  # noqa: F401

    _read(samples / "ours.zarr")  # imports the rest, starts the threads of zarr
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
    pipe.send("ready")
    while True:
        try:
            index = pipe.recv()
        except EOFError:
            return
        with tempfile.TemporaryDirectory(dir=samples.parent) as folder:
            pipe.send(_try(index, samples, seed, Path(folder), keep))


def _try(index: int, samples: Path, seed: int, folder: Path, keep: Path | None) -> Outcome:
    from fuzz_samples import damaged_copy

    from tsain_core.errors import TsainError

    sample, dice = _sample(samples, seed, index)
    path = damaged_copy(sample, folder, dice)
    fault = detail = refusal = ""
    try:
        _read(path)
    except TsainError as error:
        if not str(error).isprintable():
            fault, detail = "more than a line", str(error)
        elif _for_want_of_memory(error):
            fault, detail = "memory", "".join(traceback.format_exception(error))
        else:
            refusal = str(error)
    except BaseException as error:
        fault = "memory" if isinstance(error, MemoryError) else "traceback"
        detail = "".join(traceback.format_exception(error))
    if fault and keep:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, keep / f"{index}-{path.name}")
    return Outcome(index, sample.name, fault, detail, refusal)


def _for_want_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _read(path: Path) -> None:
    """Open a stack in all ways, and read all of it."""
    from tsain_core.volumes import list_datasets, open_pyramid

    list_datasets(path)
    for volume in open_pyramid(path):
        depth, height, width = volume.shape
        whole = depth * height * width <= _MOST_VALUES
        for z in range(depth) if whole else (0, depth // 2, depth - 1):
            image = volume[z]
            volume.missing(image, z)


def main() -> int:
    """Run, and print the faults by kind; the exit code says whether there are any."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="damaged files")
    parser.add_argument("--first", type=int, default=0, help="index of the first")
    parser.add_argument("--only", type=int, help="index of a single file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="longest time for a file")
    parser.add_argument("--memory", type=float, default=1.0, help="GiB that a file may take")
    parser.add_argument("--keep", type=Path, help="folder for the files that are faults")
    parser.add_argument("--refusals", action="store_true", help="print what was refused, too")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    first, count = (args.first, args.count) if args.only is None else (args.only, 1)
    memory, began = int(args.memory * 2**30), time.monotonic()
    outcomes = list(run(count, args.seed, args.processes, args.seconds, memory, first, args.keep))
    report(outcomes, args.refusals)
    print(f"{count} files of seed {args.seed} in {time.monotonic() - began:.0f} s")
    return int(any(outcome.fault for outcome in outcomes))


def report(outcomes: list[Outcome], refusals: bool = False) -> None:
    """Print faults by their last line, and how many files were read and refused."""
    kinds: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.fault:
            last = next(iter(outcome.detail.strip().splitlines()[::-1]), "")
            kinds[outcome.fault, last[:100]].append(outcome)
        elif refusals and outcome.refusal:
            print(f"{outcome.index} {outcome.sample}: {outcome.refusal}")
    for (fault, _), group in sorted(kinds.items(), key=lambda item: -len(item[1])):
        names = ", ".join(sorted({outcome.sample for outcome in group}))
        indices = ", ".join(str(outcome.index) for outcome in group[:8])
        print(f"\n{len(group)} x {fault} in {names} (--only {indices})\n{group[0].detail}")
    refused = sum(bool(outcome.refusal) for outcome in outcomes)
    faults = sum(map(len, kinds.values()))
    print(f"{len(outcomes) - refused - faults} read, {refused} refused, {faults} faults")


if __name__ == "__main__":
    sys.exit(main())
