"""Numba kernels of the CPU path: gather a row of columns, and its backward pass.

A *column* row holds what one output pixel multiplies with the weights: taps x channels, tap-major,
`columns[p, k * C + c]`. Everything is channels-last, so the inner loops run over neighbouring
channels and vectorise. The number of channels of an offset group is a compile-time constant of
each kernel, which lets the compiler unroll them.

Kernels release the GIL and touch only the pixels `[first, last)` they are given, so any thread pool
may share the work. Sampling points outside (-1, H) x (-1, W), not-a-number included, read nothing.
Convention and border rule: torchvision.ops.deform_conv2d.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import floor
from typing import Any

import numba
import numpy as np

Kernel = Callable[..., None]
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
# Contraction lets the compiler use fused multiply-adds; nothing else is relaxed, since not-a-number
# offsets must compare false.
_FAST = {"contract", "reassoc"}


@cache
def gather_kernel(group_channels: int) -> Kernel:
    """Kernel that fills columns for offset groups of `group_channels` channels."""
    cg = group_channels

    @numba.njit(fastmath=_FAST, **_OPTIONS)
    def gather(x, offset, mask, columns, first, last, kernel, stride, padding, dilation, size):  # type: ignore[no-untyped-def]  # numba
        height, width, channels, out_width = size
        taps = kernel[0] * kernel[1]
        zero = x.dtype.type(0)
        one = x.dtype.type(1)
        for p in range(first, last):
            oy = p // out_width
            ox = p - oy * out_width
            row = (p - first) * taps * channels
            for g in range(channels // cg):
                for k in range(taps):
                    at = g * taps + k
                    ky = k // kernel[1]
                    kx = k - ky * kernel[1]
                    y = x.dtype.type(oy * stride[0] - padding[0] + ky * dilation[0]) + offset[oy, ox, 2 * at]
                    xx = x.dtype.type(ox * stride[1] - padding[1] + kx * dilation[1]) + offset[oy, ox, 2 * at + 1]
                    to = np.uint64(row + k * channels + g * cg)
                    if not (y > -1 and y < height and xx > -1 and xx < width):
                        for c in range(cg):
                            columns[to + np.uint64(c)] = zero
                        continue
                    y0 = int(floor(y))
                    x0 = int(floor(xx))
                    ly = y - x.dtype.type(y0)
                    lx = xx - x.dtype.type(x0)
                    m = mask[oy, ox, at]
                    top = m * (one - ly) if y0 >= 0 else zero
                    bottom = m * ly if y0 + 1 < height else zero
                    left = one - lx if x0 >= 0 else zero
                    right = lx if x0 + 1 < width else zero
                    ya = max(y0, 0) * width
                    yb = min(y0 + 1, height - 1) * width
                    xa = max(x0, 0)
                    xb = min(x0 + 1, width - 1)
                    w00 = top * left
                    w01 = top * right
                    w10 = bottom * left
                    w11 = bottom * right
                    a00 = np.uint64((ya + xa) * channels + g * cg)
                    a01 = np.uint64((ya + xb) * channels + g * cg)
                    a10 = np.uint64((yb + xa) * channels + g * cg)
                    a11 = np.uint64((yb + xb) * channels + g * cg)
                    for c in range(cg):
                        u = np.uint64(c)
                        columns[to + u] = (
                            w00 * x[a00 + u] + w01 * x[a01 + u] + w10 * x[a10 + u] + w11 * x[a11 + u]
                        )

    return gather


@cache
def scatter_kernel(group_channels: int) -> Kernel:
    """Kernel of the backward pass for offset groups of `group_channels` channels.

    From the gradient of the columns it adds to the gradient of the input, writes the gradients of
    offset and mask, and fills the columns again (for the gradient of the weight), in one pass.
    """
    cg = group_channels

    @numba.njit(fastmath=_FAST, **_OPTIONS)
    def scatter(  # type: ignore[no-untyped-def]  # numba
        x,
        offset,
        mask,
        grad_columns,
        columns,
        grad_x,
        grad_offset,
        grad_mask,
        first,
        last,
        kernel,
        stride,
        padding,
        dilation,
        size,
    ):
        height, width, channels, out_width = size
        taps = kernel[0] * kernel[1]
        zero = x.dtype.type(0)
        one = x.dtype.type(1)
        for p in range(first, last):
            oy = p // out_width
            ox = p - oy * out_width
            row = (p - first) * taps * channels
            for g in range(channels // cg):
                for k in range(taps):
                    at = g * taps + k
                    ky = k // kernel[1]
                    kx = k - ky * kernel[1]
                    y = x.dtype.type(oy * stride[0] - padding[0] + ky * dilation[0]) + offset[oy, ox, 2 * at]
                    xx = x.dtype.type(ox * stride[1] - padding[1] + kx * dilation[1]) + offset[oy, ox, 2 * at + 1]
                    to = np.uint64(row + k * channels + g * cg)
                    if not (y > -1 and y < height and xx > -1 and xx < width):
                        for c in range(cg):
                            columns[to + np.uint64(c)] = zero
                        grad_offset[oy, ox, 2 * at] = zero
                        grad_offset[oy, ox, 2 * at + 1] = zero
                        grad_mask[oy, ox, at] = zero
                        continue
                    y0 = int(floor(y))
                    x0 = int(floor(xx))
                    ly = y - x.dtype.type(y0)
                    lx = xx - x.dtype.type(x0)
                    hy = one - ly
                    hx = one - lx
                    m = mask[oy, ox, at]
                    # 1 where the corner lies in the image, 0 where it is border
                    top = one if y0 >= 0 else zero
                    bottom = one if y0 + 1 < height else zero
                    left = one if x0 >= 0 else zero
                    right = one if x0 + 1 < width else zero
                    ya = max(y0, 0) * width
                    yb = min(y0 + 1, height - 1) * width
                    xa = max(x0, 0)
                    xb = min(x0 + 1, width - 1)
                    w00 = m * hy * hx * top * left
                    w01 = m * hy * lx * top * right
                    w10 = m * ly * hx * bottom * left
                    w11 = m * ly * lx * bottom * right
                    a00 = np.uint64((ya + xa) * channels + g * cg)
                    a01 = np.uint64((ya + xb) * channels + g * cg)
                    a10 = np.uint64((yb + xa) * channels + g * cg)
                    a11 = np.uint64((yb + xb) * channels + g * cg)
                    s00 = zero
                    s01 = zero
                    s10 = zero
                    s11 = zero
                    for c in range(cg):
                        u = np.uint64(c)
                        d = grad_columns[to + u]
                        v00 = x[a00 + u]
                        v01 = x[a01 + u]
                        v10 = x[a10 + u]
                        v11 = x[a11 + u]
                        columns[to + u] = w00 * v00 + w01 * v01 + w10 * v10 + w11 * v11
                        s00 += d * v00
                        s01 += d * v01
                        s10 += d * v10
                        s11 += d * v11
                    # one loop a corner: corners may be the same pixel, so the sums must not overlap
                    for c in range(cg):
                        grad_x[a00 + np.uint64(c)] += w00 * grad_columns[to + np.uint64(c)]
                    for c in range(cg):
                        grad_x[a01 + np.uint64(c)] += w01 * grad_columns[to + np.uint64(c)]
                    for c in range(cg):
                        grad_x[a10 + np.uint64(c)] += w10 * grad_columns[to + np.uint64(c)]
                    for c in range(cg):
                        grad_x[a11 + np.uint64(c)] += w11 * grad_columns[to + np.uint64(c)]
                    s00 *= top * left
                    s01 *= top * right
                    s10 *= bottom * left
                    s11 *= bottom * right
                    grad_mask[oy, ox, at] = hy * (hx * s00 + lx * s01) + ly * (hx * s10 + lx * s11)
                    grad_offset[oy, ox, 2 * at] = m * (hx * (s10 - s00) + lx * (s11 - s01))
                    grad_offset[oy, ox, 2 * at + 1] = m * (hy * (s01 - s00) + ly * (s11 - s10))

    return scatter
