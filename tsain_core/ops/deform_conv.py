"""Modulated deformable convolution: one public function, one module, several backends."""

from __future__ import annotations

import logging
import os
from functools import cache
from types import ModuleType
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..errors import TsainError
from . import _cpu, _reference, _torchvision, _triton
from ._autocast import autocast_off
from ._geometry import check_geometry, pair

logger = logging.getLogger(__name__)

Backend = Literal["auto", "cpu", "triton", "torchvision", "reference"]

#: Environment variable that overrides the automatic choice.
BACKEND_VARIABLE = "TSAIN_DEFORM_CONV"

# In order of preference.
_BACKENDS: dict[str, ModuleType] = {
    "cpu": _cpu,
    "triton": _triton,
    "torchvision": _torchvision,
    "reference": _reference,
}


def choose_backend(device: torch.device, backend: Backend = "auto") -> str:
    """Name of the backend that `deform_conv2d` uses on `device`.

    Parameters
    ----------
    device : torch.device
    backend : {"auto", "cpu", "triton", "torchvision", "reference"}
        "auto" takes the environment variable `TSAIN_DEFORM_CONV` if set, otherwise the fastest
        one that runs on the device.

    Raises
    ------
    TsainError
        If the name is unknown or the backend does not run on the device.
    """
    name: str = backend
    if name == "auto" and device.type != "meta":  # where only shapes are computed
        name = os.environ.get(BACKEND_VARIABLE) or "auto"
    if name not in get_args(Backend):
        raise TsainError(
            f"Unknown deformable convolution backend {name!r}; choose one of {get_args(Backend)} "
            f"by argument or in {BACKEND_VARIABLE}."
        )
    if name == "auto":
        return _fastest_there(device)
    if not _BACKENDS[name].available(device):
        raise TsainError(
            f"The deformable convolution backend {name!r} does not run on {device.type}; choose "
            f"'auto' by argument or in {BACKEND_VARIABLE}."
        )
    return name


@cache
def _fastest_there(device: torch.device) -> str:
    # one after the other: to look for torchvision is to import it, which takes more than a second
    there = (name for name, module in _BACKENDS.items() if module.available(device))
    name = next(there)
    if name == "triton" and not _kernels_are_right(device):
        return next(there)
    if device.type == "cuda" and name != "triton":
        logger.warning(
            "No fused deformable convolution runs on %s (it takes Triton and compute capability "
            "8.0); using %s, which is several times slower.",
            device,
            name,
        )
    return name


def _kernels_are_right(device: torch.device) -> bool:
    """The self-test of Triton's kernels, which says it where they are not."""
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        return True  # nothing can be tried now; a network is warmed up before
    from .self_test import trusted

    return trusted(device)


def _module(input: Tensor, backend: Backend) -> ModuleType:
    """The backend for this input: dtypes and sizes that Triton's kernels are not for go on."""
    name = choose_backend(input.device, backend)
    if name == "triton" and not _triton.takes(input):
        name = "torchvision" if _torchvision.available(input.device) else "reference"
    return _BACKENDS[name]


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    backend: Backend = "auto",
) -> Tensor:
    """Modulated deformable convolution with offset groups (Zhu et al. 2019, DCNv2).

    Output pixel (y, x) of tap k = kw * i + j of group g samples `input` bilinearly at
    `(y * stride - padding + i * dilation + dy, x * stride - padding + j * dilation + dx)`, times
    the mask. Points outside (-1, H) x (-1, W), not-a-number included, give 0; within one pixel of
    the border the image is continued by zeros. The convention is that of
    `torchvision.ops.deform_conv2d`.

    Parameters
    ----------
    input : Tensor, (N, C, H, W)
    offset : Tensor, (N, groups * 2 * kh * kw, H_out, W_out)
        In pixels; channel `g * 2 * kh * kw + 2 * k` is dy, the next one dx. Groups split the input
        channels evenly, in order; their number follows from the shape.
    mask : Tensor or None, (N, groups * kh * kw, H_out, W_out)
        Modulation of each sampling point; None means 1.
    weight : Tensor, (C_out, C, kh, kw)
    bias : Tensor or None, (C_out,)
    stride, padding, dilation : int or (y, x)
    backend : {"auto", "cpu", "triton", "torchvision", "reference"}
        See `choose_backend`.

    Returns
    -------
    Tensor, (N, C_out, H_out, W_out)
        In the dtype of `input`, under autocast as well. Positions and blending are float32 at
        least, for offsets lose their meaning in half precision; so is the product, except that
        "triton" multiplies half precision inputs on tensor cores and sums in float32.

    Raises
    ------
    ValueError
        If the shapes do not fit together, `input` holds integers, or the backend does not run on
        this device.
    """
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    geo = check_geometry(input, offset, mask, weight, bias, stride, padding, dilation)
    if mask is None:
        shape = (input.shape[0], geo.taps * geo.groups, *geo.out)
        mask = torch.ones(shape, dtype=offset.dtype, device=offset.device)
    module = _module(input, backend)
    dtype = torch.float64 if input.dtype == torch.float64 else torch.float32
    features = input.dtype if module is _triton else dtype
    with autocast_off(input.device):
        out: Tensor = module.run(
            input.to(features),
            offset.to(dtype),
            mask.to(dtype),
            weight.to(dtype),
            None if bias is None else bias.to(dtype),
            geo,
        )
    return out.to(input.dtype)


class DeformConv2d(nn.Module):
    """`deform_conv2d` with its weight and bias as parameters.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or (y, x)
    bias : bool

    Notes
    -----
    Weights start uniform in +-1 / sqrt(kh * kw * in_channels), bias at 0, as in DCNv2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.dilation = pair(stride), pair(padding), pair(dilation)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *pair(kernel_size)))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        bound = self.weight[0].numel() ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply to `input` (N, C, H, W); offset and mask as in `deform_conv2d`."""
        return deform_conv2d(
            input,
            offset,
            mask,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
