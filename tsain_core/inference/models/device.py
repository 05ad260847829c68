"""Where and how precisely to compute."""

from __future__ import annotations

from typing import Literal

import torch

from ...errors import TsainError, first_line
from ...system.memory import available_memory

Precision = Literal["auto", "fp32", "bf16"]


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes CUDA, then Apple's MPS, then CPU.

    Raises
    ------
    TsainError
        If torch knows no such device, or it is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = first_line(error)
        raise TsainError(
            f"Device {name!r} cannot be used ({reason}); choose auto, cpu, cuda or mps."
        ) from error
    return device


def automatic_precision(device: torch.device, precision: Precision) -> Literal["fp32", "bf16"]:
    """bf16 on CUDA cards that multiply it natively, float32 elsewhere, unless told otherwise."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def native_bf16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are faster than in float32: a hundred times slower else."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type != "cpu":
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # since torch 2.4 and 2.6
    return any(getattr(torch.cpu, name, bool)() for name in checks)


def free_memory(device: torch.device) -> int:
    """Bytes that can be allocated on the device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return available_memory()
