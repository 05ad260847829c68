"""A whole pair of slices: torchvision's operator in eager mode against ours, and against the floor.

    python benchmarks/network.py --preset tsain --size 256
    python benchmarks/network.py --preset tsain --size 512 --device cuda --rounds 50
    python benchmarks/network.py --preset tsain-lite --size 512 --rife

Each way runs in a process of its own, so that its peak memory is its own. The floor is what the
device would take if it did nothing but the multiply-adds at the rate of a large matrix product, or
nothing but read the input and write the output of each convolution once at the rate of a copy, both
measured here. Weights are random; offsets are of a few pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable

import torch
from common import hardware, median_ms, peak_mib, print_head, print_row
from rife import Rife
from torch import nn

from tsain_core.inference.cost import multiply_adds
from tsain_core.inference.models._execution import Execution
from tsain_core.network import PRESETS, TSAIN, AdaptiveSampling, NetworkSettings
from tsain_core.ops import DeformConv2d
from tsain_core.system.memory import keep_freed_memory

WAYS = {
    "torchvision fp32": "torchvision's operator, eager, fp32",
    "torchvision bf16": "torchvision's operator, eager, bf16 autocast",
    "ours fp32": "ours, fp32",
    "ours bf16": "ours, bf16",
    "compiled bf16": "ours, bf16, torch.compile",
    "rife": "RIFE 4.0",
}


def network(preset: str, device: torch.device) -> TSAIN:
    """Random weights, and offsets that are not all zero."""
    torch.manual_seed(0)
    made = TSAIN(PRESETS[preset])
    for module in made.modules():
        if isinstance(module, AdaptiveSampling):
            nn.init.normal_(module.offset_conv.weight, std=0.01)
            nn.init.uniform_(module.offset_conv.bias, -3, 3)  # type: ignore[arg-type]
    return made.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)


def pair_of(way: str, preset: str, size: int, device: torch.device) -> Callable[[], object]:
    """What computes one pair."""
    before, after = torch.rand(2, 1, 1, size, size).to(device)
    if way == "rife":
        model = Rife(device)
        return lambda: model(before, after)
    kind, precision = way.split()
    net = network(preset, device)
    if kind == "torchvision":
        os.environ["TSAIN_DEFORM_CONV"] = "torchvision"

        def eager() -> object:
            enabled = precision == "bf16"
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=enabled):
                return net(before, after)

        return eager
    keep_freed_memory()  # as while slices are computed
    execution = Execution(net, device, precision, compile=kind == "compiled")  # type: ignore[arg-type]
    return lambda: execution.between(execution.encode(before), execution.encode(after))


def traffic(settings: NetworkSettings, size: int, bytes_each: int) -> int:
    """Bytes if each convolution read its input and wrote its output once."""
    total = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += bytes_each * (sum(t.numel() for t in inputs[:1]) + output.numel())

    with torch.device("meta"):
        net, image = TSAIN(settings), torch.empty(1, 1, size, size)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | DeformConv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        net(image, image)
    return total


def rates(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Multiply-adds and bytes a second: a large convolution's or product's, and a copy's."""
    n = 8192 if device.type == "cuda" else 256
    if device.type == "cuda":
        a, b = torch.randn(2, n, n, device=device).to(dtype)
        (product,) = median_ms([lambda: a @ b], 10, device)
        work = n**3
    else:  # oneDNN's convolution: its matrix product is slower
        x = torch.randn(1, 64, n, n).to(dtype).to(memory_format=torch.channels_last)
        layer = nn.Conv2d(64, 64, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            (product,) = median_ms([lambda: layer(x)], 10, device)
        work = n * n * 64 * 64 * 9
    source = torch.zeros(2**28 if device.type == "cuda" else 2**25, device=device)
    target = torch.empty_like(source)
    (copy,) = median_ms([lambda: target.copy_(source)], 10, device)
    return 1e3 * work / product, 1e3 * 2 * source.nbytes / copy


def measure(args: argparse.Namespace) -> None:
    """Print the result of one way as JSON."""
    device = torch.device(args.device)
    run = pair_of(args.way, args.preset, args.size, device)
    (ms,) = median_ms([run], args.rounds, device)
    print(json.dumps({"ms": ms, "mib": peak_mib(device)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="tsain")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rife", action="store_true", help="compare with RIFE 4.0 as well")
    parser.add_argument("--way", choices=WAYS, help="measure this one only, in this process")
    args = parser.parse_args()
    if args.way:
        measure(args)
        return
    device = torch.device(args.device)
    print(f"{args.preset}, one {args.size} x {args.size} pair; {hardware(device)}")
    ways = [w for w in WAYS if w != "rife" and (device.type == "cuda" or "compiled" not in w)]
    ways += ["rife"] if args.rife else []
    print_head("way", "ms", "against the first", "peak MiB")
    first = None
    for way in ways:
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--way", way],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        result = json.loads(done.stdout.splitlines()[-1])
        first = first or result["ms"]
        print_row(
            WAYS[way],
            f"{result['ms']:.1f}",
            f"{first / result['ms']:.2f} x",
            f"{result['mib']:.0f}",
        )
    settings = PRESETS[args.preset]
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        compute, move = rates(device, dtype)
        arithmetic = 1e3 * multiply_adds(settings, args.size, args.size) / compute
        moving = 1e3 * traffic(settings, args.size, dtype.itemsize) / move
        print(
            f"floor {name}: arithmetic {arithmetic:.1f} ms at {2e-12 * compute:.2f} TFLOPS, "
            f"traffic {moving:.1f} ms at {1e-9 * move:.0f} GB/s"
        )


if __name__ == "__main__":
    main()
