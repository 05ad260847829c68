"""`tsain doctor`: what this machine is, whether the kernels are right on it, and how fast it is."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import __version__
from . import _progress as screen

EXAMPLES = """\
  tsain doctor
  tsain doctor --json > doctor.json   to attach to a bug report"""

_PACKAGES = ("torch", "torchvision", "triton", "numpy", "numba", "zarr", "dask", "tifffile",
             "h5py", "napari", "PyQt6")  # fmt: skip
_SIDE = 256


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    screen.add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    """Print the machine, versions, backends, the self-test and a speed."""
    found = examine(args.device)
    if args.json:
        screen.say_json(found)
        return
    for name, value in found.items():
        if name == "packages":
            value = ", ".join(f"{package} {number}" for package, number in value.items())
        screen.say(f"{name:<13} {value}")
    screen.say("\nPlease attach these lines to a bug report, with the command and its --verbose.")


def examine(device_name: str) -> dict[str, Any]:
    """What is found, by its name.

    Raises
    ------
    TsainError
        If there is no such device.
    """
    import psutil

    from ..inference.models import choose_device
    from ..interpolation.estimate import format_bytes
    from ..ops import choose_backend
    from ..ops.self_test import device_name as describe

    device = choose_device(device_name)
    backend = choose_backend(device)
    memory = psutil.virtual_memory()
    found: dict[str, Any] = {
        "napari-tsain": __version__,
        "system": platform.platform(),
        "python": f"{platform.python_version()} ({sys.executable})",
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{format_bytes(memory.total)}, {format_bytes(memory.available)} free",
        "packages": _versions(),
        "device": describe(device),
        "operator": backend,
        "self-test": _self_test(device, backend),
        "speed": _speed(device.type if device.index is None else str(device)),
    }
    return found


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _self_test(device: Any, backend: str) -> str:
    """Of the operator in use; where Triton's kernels were left out, theirs, which says why."""
    from ..ops import _triton
    from ..ops.self_test import run_self_test

    if device.type == "cuda" and _triton.available(device):
        return run_self_test(device, "triton").line()
    if backend == "cpu":
        return run_self_test(device, "cpu").line()
    return f"none: {backend} is the operator of another library"


def _speed(device: str) -> str:
    """Of `tsain-lite`, on a generated pair."""
    import numpy as np

    from ..inference.models import InferenceSettings, open_model, run_to_end
    from ..interpolation.interpolate import slice_between

    model = open_model("tsain-lite", InferenceSettings(device=device))
    pair = np.random.default_rng(0).random((2, _SIDE, _SIDE), np.float32)
    run_to_end(slice_between(model, *pair.copy()))  # warms up
    start = time.perf_counter()
    run_to_end(slice_between(model, *pair.copy()))
    seconds = time.perf_counter() - start
    return f"tsain-lite: {seconds:.3g} s for a slice of {_SIDE} x {_SIDE} pixels"
