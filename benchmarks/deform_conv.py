"""The deformable convolution against torchvision's, in one run: times, error, memory.

    python benchmarks/deform_conv.py
    python benchmarks/deform_conv.py --device cuda --sizes 128 256 512 1024 \\
        --dtypes fp32 bf16 --rounds 50

torchvision has no bfloat16: there it runs as it does under autocast, in float32. Errors are against
a float64 reference on the same (rounded) features, relative to the largest value; memory is what
a forward and backward pass allocates on a card.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from common import hardware, median_ms, print_head, print_row
from torch import Tensor

from tsain_core.ops import Backend, deform_conv2d

CHANNELS = 64
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def operands(size: int, groups: int, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """Input, offset, mask, weight; channels-last, as in the network."""
    torch.manual_seed(0)
    tensors = [
        torch.randn(1, CHANNELS, size, size).to(dtype),
        3 * torch.randn(1, 18 * groups, size, size),
        torch.rand(1, 9 * groups, size, size),
        torch.randn(CHANNELS, CHANNELS, 3, 3) / 24,
    ]
    last = torch.channels_last
    return [t.to(device, memory_format=last).requires_grad_() for t in tensors]


def passes(
    tensors: list[Tensor], backend: Backend
) -> tuple[Callable[[], Tensor], Callable[[], tuple[Tensor, ...]]]:
    """Forward alone without gradients, and forward with backward."""

    def forward() -> Tensor:
        with torch.no_grad():
            return deform_conv2d(*tensors, padding=1, backend=backend)  # type: ignore[misc]

    def both() -> tuple[Tensor, ...]:
        out = deform_conv2d(*tensors, padding=1, backend=backend)  # type: ignore[misc]
        return torch.autograd.grad(out.float().sum(), tensors)

    return forward, both


def error(tensors: list[Tensor], got: Tensor) -> float:
    """Largest error relative to the largest value, against float64."""
    exact = [t.detach().double().cpu() for t in tensors]
    want = deform_conv2d(*exact, padding=1, backend="reference")  # type: ignore[misc]
    return float((got.double().cpu() - want).abs().max() / want.abs().max())


def memory(run: Callable[[], object], device: torch.device) -> str:
    """MiB that a pass allocates beyond what was there; only known on cards."""
    if device.type != "cuda":
        return ""
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return f"{(torch.cuda.max_memory_allocated(device) - before) / 2**20:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256])
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["fp32"])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    device = torch.device(args.device)
    print(f"1 x {CHANNELS} x size x size; {hardware(device)}")
    print_head(
        *("size", "groups", "dtype", "pass", "ours ms", "torchvision ms", "ratio"),
        *("error ours", "error torchvision", "MiB ours", "MiB torchvision"),
    )
    for size in args.sizes:
        for groups in args.groups:
            for dtype in args.dtypes:
                tensors = operands(size, groups, DTYPES[dtype], device)
                ours, theirs = passes(tensors, "auto"), passes(tensors, "torchvision")
                errors = [f"{error(tensors, p[0]()):.1e}" for p in (ours, theirs)]
                for i, name in enumerate(("forward", "forward + backward")):
                    times = median_ms([ours[i], theirs[i]], args.rounds, device)
                    print_row(
                        *(size, groups, dtype, name, *(f"{t:.2f}" for t in times)),
                        f"{times[1] / times[0]:.1f}",
                        *(errors if i == 0 else ("", "")),
                        *(memory(p[i], device) for p in (ours, theirs)),
                    )


if __name__ == "__main__":
    main()
