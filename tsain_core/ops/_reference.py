"""The plain PyTorch reference: slow, differentiable to any order, runs on every device."""

from __future__ import annotations

import torch
from torch import Tensor

from ._geometry import Geometry


def sampling_positions(offset: Tensor, geo: Geometry) -> tuple[Tensor, Tensor]:
    """Absolute (y, x) of each sampling point, each (N, groups, taps, H_out, W_out), in pixels."""
    n = offset.shape[0]
    o = offset.reshape(n, geo.groups, geo.taps, 2, *geo.out)
    k = torch.arange(geo.taps, device=offset.device)
    ky, kx = k // geo.kernel[1], k % geo.kernel[1]

    def base(axis: int, tap: Tensor) -> Tensor:
        start = torch.arange(geo.out[axis], device=offset.device) * geo.stride[axis]
        shape = (1, -1) if axis else (-1, 1)
        along = tap * geo.dilation[axis] - geo.padding[axis]
        return along[:, None, None] + start.reshape(shape)

    return o[:, :, :, 0] + base(0, ky), o[:, :, :, 1] + base(1, kx)


def run(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geo: Geometry
) -> Tensor:
    """Backend entry point; see `tsain_core.ops.deform_conv2d`."""
    n, c, h, w = input.shape
    y, x = sampling_positions(offset, geo)
    # -1 itself has weight 0, but the slope of moving inwards.
    inside = (y >= -1) & (y < h) & (x >= -1) & (x < w)
    # Points that read nothing are moved to the origin: their integer parts would overflow.
    y, x = (torch.where(inside, t, torch.zeros_like(t)) for t in (y, x))
    y0, x0 = y.floor().detach(), x.floor().detach()
    ly, lx = y - y0, x - x0
    pixels = input.reshape(n, geo.groups, c // geo.groups, h * w)
    columns = input.new_zeros(())
    for dy, wy in ((0, 1 - ly), (1, ly)):
        for dx, wx in ((0, 1 - lx), (1, lx)):
            yi, xi = (y0 + dy).long(), (x0 + dx).long()
            there = inside & (yi >= 0) & (yi < h) & (xi >= 0) & (xi < w)
            at = (yi.clamp(0, h - 1) * w + xi.clamp(0, w - 1)).reshape(n, geo.groups, 1, -1)
            value = pixels.gather(3, at.expand(-1, -1, c // geo.groups, -1))
            value = value.reshape(n, geo.groups, -1, geo.taps, *geo.out)
            columns = columns + value * (wy * wx * there).unsqueeze(2)
    columns = columns * mask.reshape(n, geo.groups, 1, geo.taps, *geo.out)
    columns = columns.reshape(n, c, geo.taps, -1)  # (N, C, taps, H_out * W_out)
    out = torch.einsum("ock,nckp->nop", weight.flatten(2), columns)
    out = out.reshape(n, -1, *geo.out)
    return out if bias is None else out + bias.view(1, -1, 1, 1)


def available(device: torch.device) -> bool:
    """Whether this backend runs on `device`."""
    return True
