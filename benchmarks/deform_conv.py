"""Deformable convolution on CPU against torchvision's, in one run: times and their ratios.

python benchmarks/deform_conv.py [--size 256] [--groups 1 8] [--runs 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

import torch  # noqa: E402

from tsain_core.ops import Backend, deform_conv2d  # noqa: E402

CHANNELS = 64


def median_ms(run: Callable[[], object], runs: int) -> float:
    """Median time of `runs` calls after one to warm up, in milliseconds."""
    run()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def measure(size: int, groups: int, backend: Backend, runs: int) -> tuple[float, float]:
    """(forward, forward and backward) in milliseconds on 1 x 64 x size x size, channels-last."""
    torch.manual_seed(0)
    x = torch.randn(1, CHANNELS, size, size).to(memory_format=torch.channels_last)
    offset = 3 * torch.randn(1, 18 * groups, size, size)
    mask = torch.rand(1, 9 * groups, size, size)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3)
    tensors = [t.requires_grad_() for t in (x, offset, mask, weight)]

    def forward() -> torch.Tensor:
        return deform_conv2d(*tensors, padding=1, backend=backend)

    def both() -> None:
        forward().sum().backward()

    with torch.no_grad():
        first = median_ms(forward, runs)
    return first, median_ms(both, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    print(f"1 x {CHANNELS} x {args.size} x {args.size}, {torch.get_num_threads()} threads, float32")
    for groups in args.groups:
        ours = measure(args.size, groups, "cpu", args.runs)
        theirs = measure(args.size, groups, "torchvision", args.runs)
        for name, a, b in zip(("forward", "forward + backward"), ours, theirs, strict=True):
            row = f"groups {groups}  {name:<19} {a:8.0f} ms"
            print(f"{row}  torchvision {b:8.0f} ms  {b / a:.1f} x")


if __name__ == "__main__":
    main()
