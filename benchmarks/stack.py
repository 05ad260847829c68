"""A whole stack from file to file: slices a second, waiting for files, and how cost grows.

    python benchmarks/stack.py --model tsain-lite
    python benchmarks/stack.py --model tsain --device cuda --sizes 512 1024 2048 --lengths 8 64 512

Stacks of noise are doubled, from OME-Zarr to OME-Zarr. Each run is a process of its own; runs of
different size take turns, and the median of the rounds counts. Cost is the time for a voxel of the
result that had to be computed. The share of waiting is that of the time in which the model did not
compute; the first pair of a process, which compiles kernels, is computed before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import torch
from common import hardware, peak_mib, print_head, print_row

from tsain_core.inference.models import InferenceSettings, open_model, run_to_end
from tsain_core.inference.slice_model import TileDone
from tsain_core.interpolation.interpolate import SliceReady
from tsain_core.interpolation.schedule import by_factor
from tsain_core.interpolation.to_file import interpolate_to_file
from tsain_core.volumes import create_volume, open_volume


class Timed:
    """A model that adds up the time it computes."""

    def __init__(self, model: object) -> None:
        self._model, self.seconds = model, 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def between(self, *args: object) -> Generator[TileDone, None, np.ndarray]:
        work = self._model.between(*args)  # type: ignore[attr-defined]
        while True:
            start = time.perf_counter()
            try:
                tile = next(work)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            finally:
                self.seconds += time.perf_counter() - start
            yield tile


def write_stack(path: Path, length: int, size: int) -> None:
    """Smooth noise, as grey and as compressible as EM."""
    rng = np.random.default_rng(0)
    with create_volume(path, (length, size, size), np.dtype(np.uint8)) as writer:
        for z in range(length):
            image = rng.normal(128, 40, (size // 2, size // 2)).repeat(2, 0).repeat(2, 1)
            writer.write(z, image.clip(0, 255).astype(np.uint8))


def measure(args: argparse.Namespace, length: int, size: int) -> None:
    """Run once, in this process; prints JSON."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.zarr"), Path(folder, "out.zarr")
        write_stack(source, length, size)
        volume = open_volume(source)
        settings = InferenceSettings(args.device, args.precision, tile=args.tile)
        model = open_model(args.model, settings)
        pair = np.random.default_rng(1).random((2, size, size), np.float32)
        run_to_end(model.between(*pair))
        timed = Timed(model)
        schedule = by_factor(length, 2)
        start = time.perf_counter()
        events = interpolate_to_file(volume, target, schedule, timed)  # type: ignore[arg-type]
        made = sum(event.synthetic for event in events if isinstance(event, SliceReady))
        total = time.perf_counter() - start
    device = getattr(model, "device", torch.device("cpu"))
    result = {"seconds": total, "computing": timed.seconds, "slices": made}
    print(json.dumps(result | {"mib": peak_mib(device)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--tile", type=int)
    parser.add_argument("--lengths", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", type=int, nargs=2, metavar=("LENGTH", "SIZE"))
    args = parser.parse_args()
    if args.one:
        measure(args, *args.one)
        return
    cases = [(n, args.sizes[0]) for n in args.lengths] + [(3, s) for s in args.sizes]
    results: dict[tuple[int, int], list[dict[str, float]]] = {case: [] for case in cases}
    for _ in range(args.rounds):
        for case, found in results.items():
            words = [sys.executable, __file__, *sys.argv[1:], "--one", *map(str, case)]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{args.model}, factor 2, uint8 OME-Zarr; {hardware(torch.device(args.device))}")
    print_head(
        "slices", "size", "slices/s", "waiting", "ns a voxel", "against the first", "peak MiB"
    )
    first: dict[bool, float] = {}
    for i, ((length, size), found) in enumerate(results.items()):
        cost = statistics.median(1e9 * f["seconds"] / (f["slices"] * size**2) for f in found)
        waiting = statistics.median(1 - f["computing"] / f["seconds"] for f in found)
        base = first.setdefault(i < len(args.lengths), cost)
        print_row(
            *(length, size, f"{1e9 / (cost * size**2):.2f}", f"{waiting:.1%}", f"{cost:.0f}"),
            f"{cost / base:.2f}",
            f"{statistics.median(f['mib'] for f in found):.0f}",
        )


if __name__ == "__main__":
    main()
