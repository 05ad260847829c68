"""Numba kernels of the CPU path: gather a row of columns, and its backward pass.

A *column* row holds what one output pixel multiplies with the weights, point by point in the order
of the modulation mask: `columns[p, (g * taps + k) * Cg + c]` is channel c of group g at tap k.
Everything is channels-last, so a sampling point reads the neighbouring
channels of its offset group at once; their number is a compile-time constant of each kernel.

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

from ._vector import blend_vector, spread_vector, zero_vector

Kernel = Callable[..., None]
_AT_ONCE = 16  # output pixels whose offsets are fetched together: a cache line of a plane
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def _compiled(kernel: Kernel) -> Kernel:
    """Numba's version of a kernel, kept on disk where there is a place to keep it."""
    try:
        return numba.njit(**_OPTIONS, cache=True)(kernel)  # type: ignore[no-any-return]
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        # neither the installation nor the home folder can be written: compile in each process
        return numba.njit(**_OPTIONS)(kernel)  # type: ignore[no-any-return]


@numba.njit(inline="always")
def _corners(y0, x0, height, width, channels, start):  # type: ignore[no-untyped-def]  # numba
    """Flat index of the four pixels round a point, moved to the edge where they lie outside."""
    ya = max(y0, 0) * width
    yb = min(y0 + 1, height - 1) * width
    xa = max(x0, 0)
    xb = min(x0 + 1, width - 1)
    return (
        (ya + xa) * channels + start,
        (ya + xb) * channels + start,
        (yb + xa) * channels + start,
        (yb + xb) * channels + start,
    )


@numba.njit(inline="always")
def _fetch(  # type: ignore[no-untyped-def]  # numba
    rows, source, at, pixels, channels, pixel_step, channel_step
):
    """Values of a few neighbouring output pixels -> rows (pixels, channels), from any layout."""
    if channel_step == 1:
        for q in range(pixels):
            row = at + q * pixel_step
            for channel in range(channels):
                rows[q, channel] = source[row + channel]
    else:
        for channel in range(channels):
            plane = at + channel * channel_step
            for q in range(pixels):
                rows[q, channel] = source[plane + q * pixel_step]


@cache
def gather_kernel(group_channels: int, large: bool = False) -> Kernel:
    """Kernel that fills columns for offset groups of `group_channels` channels.

    `large` is for images of 2**31 elements and more. `layout` says where offset and mask lie: the
    output row of their first element, then the steps from row to row, pixel and channel. There are
    two passes over each pixel: the geometry of all its sampling points in a loop that the compiler
    turns into vector instructions, then the blending, a vector a point.
    """
    cg = group_channels
    index = np.int64 if large else np.int32

    def gather(  # type: ignore[no-untyped-def]  # numba
        x, offset, mask, columns, first, last, layout, kernel, stride, padding, dilation, size
    ):
        height, width, channels, out_width = size
        origin, offset_row, offset_pixel, offset_channel, mask_row, mask_pixel, mask_channel = (
            layout
        )
        taps = kernel[0] * kernel[1]
        points = channels // cg * taps
        kind = x.dtype.type
        zero, one = kind(0), kind(1)
        end_y, end_x, last_y, last_x = kind(height), kind(width), kind(height - 1), kind(width - 1)
        nil, line, pixel = index(0), index(width * channels), index(channels)
        south, east_most = index(height - 1), index(width - 1)
        # what is fetched for some pixels
        shifts = np.empty((_AT_ONCE, 2 * points), x.dtype)
        masks = np.empty((_AT_ONCE, points), x.dtype)
        # the place of each tap, the first channel of each group, and the geometry of one pixel
        tap_y, tap_x = np.empty(points, x.dtype), np.empty(points, x.dtype)
        starts = np.empty(points, index)
        weights = np.empty((4, points), x.dtype)
        corners = np.empty((4, points), index)
        for e in range(points):
            tap_y[e] = e % taps // kernel[1] * dilation[0] - padding[0]
            tap_x[e] = e % taps % kernel[1] * dilation[1] - padding[1]
            starts[e] = e // taps * cg
        p = first
        while p < last:
            oy, ox = p // out_width, p % out_width
            count = min(_AT_ONCE, last - p, out_width - ox)  # of one line of the image
            at = (oy - origin) * offset_row + ox * offset_pixel
            _fetch(shifts, offset, at, count, 2 * points, offset_pixel, offset_channel)
            at = (oy - origin) * mask_row + ox * mask_pixel
            _fetch(masks, mask, at, count, points, mask_pixel, mask_channel)
            for q in range(count):
                base_y, base_x = kind(oy * stride[0]), kind((ox + q) * stride[1])
                for e in range(points):
                    y = base_y + tap_y[e] + shifts[q, 2 * e]
                    xx = base_x + tap_x[e] + shifts[q, 2 * e + 1]
                    # false for not-a-number as well
                    inside = (y > -one) & (y < end_y) & (xx > -one) & (xx < end_x)
                    y = y if inside else zero
                    xx = xx if inside else zero
                    m = masks[q, e] if inside else zero
                    fy, fx = np.floor(y), np.floor(xx)
                    ly, lx = y - fy, xx - fx
                    top = m * (one - ly) if fy >= zero else zero
                    bottom = m * ly if fy < last_y else zero
                    left = one - lx if fx >= zero else zero
                    right = lx if fx < last_x else zero
                    weights[0, e], weights[1, e] = top * left, top * right
                    weights[2, e], weights[3, e] = bottom * left, bottom * right
                    y0, x0 = index(fy), index(fx)
                    north = max(y0, nil) * line + starts[e]
                    below = min(index(y0 + index(1)), south) * line + starts[e]
                    west = max(x0, nil) * pixel
                    east = min(index(x0 + index(1)), east_most) * pixel
                    corners[0, e], corners[1, e] = north + west, north + east
                    corners[2, e], corners[3, e] = below + west, below + east
                to = (p + q - first) * points * cg
                for e in range(points):
                    at_corners = (
                        np.int64(corners[0, e]),
                        np.int64(corners[1, e]),
                        np.int64(corners[2, e]),
                        np.int64(corners[3, e]),
                    )
                    scales = weights[0, e], weights[1, e], weights[2, e], weights[3, e]
                    blend_vector(columns, to + e * cg, x, at_corners, scales, cg)
            p += count

    return _compiled(gather)


@cache
def scatter_kernel(group_channels: int) -> Kernel:
    """Kernel of the backward pass for offset groups of `group_channels` channels.

    From the gradient of the columns it adds to the gradient of the input, writes the gradients of
    offset and mask, and fills the columns again (for the gradient of the weight), in one pass.
    """
    cg = group_channels

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
        zero, one = x.dtype.type(0), x.dtype.type(1)
        for p in range(first, last):
            oy, ox = p // out_width, p % out_width
            row = (p - first) * kernel[0] * kernel[1] * channels
            for i in range(kernel[0]):
                tap_y = x.dtype.type(oy * stride[0] - padding[0] + i * dilation[0])
                for j in range(kernel[1]):
                    tap_x = x.dtype.type(ox * stride[1] - padding[1] + j * dilation[1])
                    at = i * kernel[1] + j - kernel[0] * kernel[1]
                    for start in range(0, channels, cg):
                        at += kernel[0] * kernel[1]
                        to = row + at * cg
                        y = tap_y + offset[oy, ox, 2 * at]
                        xx = tap_x + offset[oy, ox, 2 * at + 1]
                        # at -1 itself the value is 0, but the slope is that of moving inwards
                        if not (y >= -1 and y < height and xx >= -1 and xx < width):
                            zero_vector(columns, to, cg)
                            grad_offset[oy, ox, 2 * at] = zero
                            grad_offset[oy, ox, 2 * at + 1] = zero
                            grad_mask[oy, ox, at] = zero
                            continue
                        y0, x0 = int(floor(y)), int(floor(xx))
                        ly, lx = y - x.dtype.type(y0), xx - x.dtype.type(x0)
                        hy, hx = one - ly, one - lx
                        m = mask[oy, ox, at]
                        # 1 where the corner lies in the image, 0 where it is border
                        top = one if y0 >= 0 else zero
                        bottom = one if y0 + 1 < height else zero
                        left = one if x0 >= 0 else zero
                        right = one if x0 + 1 < width else zero
                        corners = _corners(y0, x0, height, width, channels, start)
                        weights = (
                            m * hy * hx * top * left,
                            m * hy * lx * top * right,
                            m * ly * hx * bottom * left,
                            m * ly * lx * bottom * right,
                        )
                        s00, s01, s10, s11 = spread_vector(
                            columns, to, x, grad_x, grad_columns, corners, weights, cg
                        )
                        s00 *= top * left
                        s01 *= top * right
                        s10 *= bottom * left
                        s11 *= bottom * right
                        grad_mask[oy, ox, at] = hy * (hx * s00 + lx * s01) + ly * (
                            hx * s10 + lx * s11
                        )
                        grad_offset[oy, ox, 2 * at] = m * (hx * (s10 - s00) + lx * (s11 - s01))
                        grad_offset[oy, ox, 2 * at + 1] = m * (hy * (s01 - s00) + ly * (s11 - s10))

    return _compiled(scatter)
