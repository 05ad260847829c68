"""torchvision's operator: single-threaded on CPU, an im2col buffer on CUDA."""

from __future__ import annotations

import torch
from torch import Tensor

from ..system.triton_loading import load_triton
from ._geometry import Geometry


def run(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geo: Geometry
) -> Tensor:
    """Backend entry point; see `tsain_core.ops.deform_conv2d`."""
    load_triton()  # which torchvision imports
    from torchvision.ops import deform_conv2d  # imported late: needs a torch built alike

    out: Tensor = deform_conv2d(
        input, offset, weight, bias, geo.stride, geo.padding, geo.dilation, mask
    )
    return out


def available(device: torch.device) -> bool:
    """Whether this backend runs on `device` with the installed torchvision."""
    if device.type not in ("cpu", "cuda"):
        return False
    load_triton()
    try:
        import torchvision
    except (ImportError, RuntimeError):  # a CPU-only torch beside a CUDA torchvision raises
        return False
    return bool(torchvision.extension._has_ops())
