"""Autocast switched off, on every device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.amp import is_autocast_available


def autocast_off(device: torch.device) -> AbstractContextManager[object]:
    """Context in which operations keep the dtype of their operands."""
    if not is_autocast_available(device.type):  # "meta", say
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
