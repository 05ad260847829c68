"""What the benchmarks share: timing, memory, the name of the hardware."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

import torch  # noqa: E402


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """`--data`: the folder with `train/` and `validate/`; $TSAIN_EM_DATA, if not given."""
    data = Path(os.environ.get("TSAIN_EM_DATA", "data"))
    parser.add_argument("--data", type=Path, default=data, help="folder of the stacks")


def difference(psnr: float, structure: float, ssim: float) -> str:
    """Differences of scores, signed, as tables show them."""
    return f"{psnr:+.2f} / {structure:+.2f} / {ssim:+.3f}"


def hardware(device: torch.device) -> str:
    """One line that names the device and the versions."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{_processor()}, {torch.get_num_threads()} threads"
    return f"{name}; torch {torch.__version__}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return platform.processor() or platform.machine()
    known = {key.strip(): value.strip() for key, value in lines.items()}
    wide = next((f for f in ("avx512f", "avx2") if f in known.get("flags", "").split()), "")
    return f"{known.get('model name', platform.machine())} {wide}".strip()


def synchronise(device: torch.device) -> None:
    """Wait for what the device is doing."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Time of one call."""
    synchronise(device)
    start = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - start


def median_ms(
    runs: Sequence[Callable[[], object]], rounds: int, device: torch.device
) -> list[float]:
    """Median time of each of `runs` in milliseconds; they take turns, since machines are noisy."""
    for run in runs:
        run()
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for mine, run in zip(times, runs, strict=True):
            mine.append(1e3 * seconds(run, device))
    return [statistics.median(mine) for mine in times]


def peak_mib(device: torch.device) -> float:
    """Most memory so far: allocated on the card, resident on CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def print_row(*cells: object) -> None:
    """A row of a Markdown table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def print_head(*cells: object) -> None:
    """The head of a Markdown table."""
    print_row(*cells)
    print_row(*("---" for _ in cells))
