"""Triton kernels of modulated deformable convolution: no column buffer, features channels-last.

A program takes a block of output pixels of one image. For each tap it computes the geometry once
for every offset group, loads the four corners as vectors over the group's neighbouring channels,
blends them in float32, and multiplies the tile with that tap's weights: sampled values never leave
the chip. The backward kernels sample again instead of reading columns back. Convention and border
rule: `_reference`. Sizes in capitals are compile-time constants:

BM, BN      output pixels and output channels of a block
BG, BC      offset groups and channels of a group of a block; BG * BC is the product's inner length
CG, GROUPS  channels of a group, number of groups
KH ... DW   kernel, stride, padding, dilation

Imported only where Triton is to run: it brings a compiler.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

Kernel = Any


@triton.jit
def _tap_origin(
    oy, ox, k, KW: tl.constexpr,
    SH: tl.constexpr, SW: tl.constexpr, PH: tl.constexpr, PW: tl.constexpr,
    DH: tl.constexpr, DW: tl.constexpr,
):  # fmt: skip
    """Where tap k of output pixels (oy, ox) lies without its offset."""
    return oy * SH - PH + (k // KW) * DH, ox * SW - PW + (k % KW) * DW


@triton.jit
def _geometry(tap_y, tap_x, dy, dx, needed, height, width):
    """Integer corner, fractions and whether anything is read, each (BM, BG)."""
    y = tap_y[:, None].to(tl.float32) + dy
    x = tap_x[:, None].to(tl.float32) + dx
    # false for not-a-number as well
    inside = needed & (y >= -1) & (y < height) & (x >= -1) & (x < width)
    y = tl.where(inside, y, 0.0)
    x = tl.where(inside, x, 0.0)
    y0 = tl.floor(y)
    x0 = tl.floor(x)
    return y0.to(tl.int32), x0.to(tl.int32), y - y0, x - x0, inside


@triton.jit
def _corner(image, y, x, there, channel, there_c, width, C: tl.constexpr):
    """One corner's channels (BM, BG, BC) in float32, 0 where it lies outside."""
    at = (y * width + x) * C
    pointer = image + (at[:, :, None] + channel[None, :, :])
    return tl.load(pointer, mask=there[:, :, None] & there_c[None, :, :], other=0.0).to(tl.float32)


@triton.jit
def _corners(image, y0, x0, inside, channel, there_c, height, width, C: tl.constexpr):
    """The four corners of the sampling points, and which of them lie in the image."""
    top, bottom = inside & (y0 >= 0), inside & (y0 + 1 < height)
    left, right = x0 >= 0, x0 + 1 < width
    a = _corner(image, y0, x0, top & left, channel, there_c, width, C)
    b = _corner(image, y0, x0 + 1, top & right, channel, there_c, width, C)
    c = _corner(image, y0 + 1, x0, bottom & left, channel, there_c, width, C)
    d = _corner(image, y0 + 1, x0 + 1, bottom & right, channel, there_c, width, C)
    return a, b, c, d


@triton.jit
def _blend(a, b, c, d, ly, lx, m):
    """Bilinear value times the modulation, (BM, BG, BC)."""
    top = m * (1 - ly)
    bottom = m * ly
    total = a * (top * (1 - lx))[:, :, None] + b * (top * lx)[:, :, None]
    return total + c * (bottom * (1 - lx))[:, :, None] + d * (bottom * lx)[:, :, None]


@triton.jit
def _points(offset, mask, at_o, at_m, group, k, needed, so_c, sm_c, TAPS: tl.constexpr):
    """dy, dx and modulation of tap k, each (BM, BG)."""
    pointer = offset + (at_o[:, None] + (group * (2 * TAPS) + 2 * k)[None, :] * so_c)
    dy = tl.load(pointer, mask=needed, other=0.0).to(tl.float32)
    dx = tl.load(pointer + so_c, mask=needed, other=0.0).to(tl.float32)
    at = at_m[:, None] + (group * TAPS + k)[None, :] * sm_c
    m = tl.load(mask + at, mask=needed, other=0.0).to(tl.float32)
    return dy, dx, m


@triton.jit
def _block_channels(
    g0, c0, CG: tl.constexpr, GROUPS: tl.constexpr, BG: tl.constexpr, BC: tl.constexpr
):  # fmt: skip
    """Groups, channels as (BG, BC) with their validity, and the same channels as one row."""
    group = g0 + tl.arange(0, BG)
    inner = c0 + tl.arange(0, BC)
    channel = group[:, None] * CG + inner[None, :]
    there = (group < GROUPS)[:, None] & (inner < CG)[None, :]
    row = tl.arange(0, BG * BC)
    row_group, row_inner = g0 + row // BC, c0 + row % BC
    row_there = (row_group < GROUPS) & (row_inner < CG)
    return group, channel, there, row_group * CG + row_inner, row_there


@triton.jit
def forward_kernel(
    x, offset, mask, weight, bias, out,
    height, width, out_height, out_width,
    so_n, so_c, so_y, so_x, sm_n, sm_c, sm_y, sm_x,
    C: tl.constexpr, C_OUT: tl.constexpr, CG: tl.constexpr, GROUPS: tl.constexpr,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    BM: tl.constexpr, BG: tl.constexpr, BC: tl.constexpr, BN: tl.constexpr,
    HAS_BIAS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out (N, OH, OW, C_OUT) from x (N, H, W, C) and weight (taps, C, C_OUT), all dense."""
    TAPS: tl.constexpr = KH * KW
    n = tl.program_id(1).to(tl.int64)
    p = tl.program_id(0) * BM + tl.arange(0, BM)
    pixels = out_height * out_width
    valid = p < pixels
    oy, ox = p // out_width, p % out_width
    image = x + n * height * width * C
    at_o = n * so_n + oy.to(tl.int64) * so_y + ox.to(tl.int64) * so_x
    at_m = n * sm_n + oy.to(tl.int64) * sm_y + ox.to(tl.int64) * sm_x
    column = tl.program_id(2) * BN + tl.arange(0, BN)
    total = tl.zeros((BM, BN), dtype=tl.float32)
    for g0 in range(0, GROUPS, BG):
        for c0 in range(0, CG, BC):
            group, channel, there, row, row_there = _block_channels(g0, c0, CG, GROUPS, BG, BC)
            needed = valid[:, None] & (group < GROUPS)[None, :]
            weight_at = row[:, None] * C_OUT + column[None, :]
            weight_there = row_there[:, None] & (column < C_OUT)[None, :]
            for k in range(TAPS):
                tap_y, tap_x = _tap_origin(oy, ox, k, KW, SH, SW, PH, PW, DH, DW)
                dy, dx, m = _points(offset, mask, at_o, at_m, group, k, needed, so_c, sm_c, TAPS)
                y0, x0, ly, lx, inside = _geometry(tap_y, tap_x, dy, dx, needed, height, width)
                a, b, c, d = _corners(image, y0, x0, inside, channel, there, height, width, C)
                tile = _blend(a, b, c, d, ly, lx, m).to(x.dtype.element_ty)
                tile = tl.reshape(tile, (BM, BG * BC))
                w = tl.load(weight + k * C * C_OUT + weight_at, mask=weight_there, other=0.0)
                total = tl.dot(tile, w, total, input_precision=PRECISION)
    if HAS_BIAS:
        total += tl.load(bias + column, mask=column < C_OUT, other=0.0).to(tl.float32)[None, :]
    to = out + n * pixels * C_OUT + p[:, None] * C_OUT + column[None, :]
    tl.store(to, total.to(out.dtype.element_ty), mask=valid[:, None] & (column < C_OUT)[None, :])


@triton.jit
def _add(
    grad_x, y, x, there, channel, there_c, width, value, scale,
    C: tl.constexpr, FIXED: tl.constexpr,
):  # fmt: skip
    """Add to one corner's channels in the input's gradient."""
    at = (y * width + x) * C
    pointer = grad_x + (at[:, :, None] + channel[None, :, :])
    where = there[:, :, None] & there_c[None, :, :]
    if FIXED:  # sums of integers do not depend on their order
        value = (value.to(tl.float64) * tl.load(scale)).to(tl.int64)
    tl.atomic_add(pointer, value, mask=where, sem="relaxed")


@triton.jit
def backward_kernel(
    grad, x, offset, mask, weight, grad_x, grad_offset, grad_mask, scale,
    height, width, out_height, out_width,
    so_n, so_c, so_y, so_x, sm_n, sm_c, sm_y, sm_x,
    C: tl.constexpr, C_OUT: tl.constexpr, CG: tl.constexpr, GROUPS: tl.constexpr,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    BM: tl.constexpr, BG: tl.constexpr, BC: tl.constexpr, BN: tl.constexpr,
    FIXED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of input (added), offset and mask.

    grad (N, OH, OW, C_OUT), grad_x (N, H, W, C), grad_offset (N, OH, OW, GROUPS * TAPS * 2) and
    grad_mask (N, OH, OW, GROUPS * TAPS) are dense; grad_x starts at zero.
    """
    TAPS: tl.constexpr = KH * KW
    n = tl.program_id(1).to(tl.int64)
    p = tl.program_id(0) * BM + tl.arange(0, BM)
    pixels = out_height * out_width
    valid = p < pixels
    oy, ox = p // out_width, p % out_width
    image = x + n * height * width * C
    grad_image = grad_x + n * height * width * C
    at_o = n * so_n + oy.to(tl.int64) * so_y + ox.to(tl.int64) * so_x
    at_m = n * sm_n + oy.to(tl.int64) * sm_y + ox.to(tl.int64) * sm_x
    at_points = (n * pixels + p) * (GROUPS * TAPS)
    at_grad = grad + (n * pixels + p)[:, None] * C_OUT
    for g0 in range(0, GROUPS, BG):
        for k in range(TAPS):
            group = g0 + tl.arange(0, BG)
            needed = valid[:, None] & (group < GROUPS)[None, :]
            tap_y, tap_x = _tap_origin(oy, ox, k, KW, SH, SW, PH, PW, DH, DW)
            dy, dx, m = _points(offset, mask, at_o, at_m, group, k, needed, so_c, sm_c, TAPS)
            y0, x0, ly, lx, inside = _geometry(tap_y, tap_x, dy, dx, needed, height, width)
            hy, hx = 1 - ly, 1 - lx
            top, bottom = inside & (y0 >= 0), inside & (y0 + 1 < height)
            left, right = x0 >= 0, x0 + 1 < width
            sa = tl.zeros((BM, BG), dtype=tl.float32)
            sb = tl.zeros((BM, BG), dtype=tl.float32)
            sc = tl.zeros((BM, BG), dtype=tl.float32)
            sd = tl.zeros((BM, BG), dtype=tl.float32)
            for c0 in range(0, CG, BC):
                _, channel, there, row, row_there = _block_channels(g0, c0, CG, GROUPS, BG, BC)
                tile = tl.zeros((BM, BG * BC), dtype=tl.float32)
                for n0 in range(0, C_OUT, BN):
                    column = n0 + tl.arange(0, BN)
                    there_n = column < C_OUT
                    g = tl.load(
                        at_grad + column[None, :], mask=valid[:, None] & there_n[None, :], other=0.0
                    )
                    at_w = k * C * C_OUT + row[None, :] * C_OUT + column[:, None]
                    there_w = there_n[:, None] & row_there[None, :]
                    w = tl.load(weight + at_w, mask=there_w, other=0.0)
                    tile = tl.dot(g, w, tile, input_precision=PRECISION)
                columns = tl.reshape(tile, (BM, BG, BC))
                a, b, c, d = _corners(image, y0, x0, inside, channel, there, height, width, C)
                sa += tl.sum(columns * a, 2)
                sb += tl.sum(columns * b, 2)
                sc += tl.sum(columns * c, 2)
                sd += tl.sum(columns * d, 2)
                va = columns * (m * hy * hx)[:, :, None]
                vb = columns * (m * hy * lx)[:, :, None]
                vc = columns * (m * ly * hx)[:, :, None]
                vd = columns * (m * ly * lx)[:, :, None]
                y1, x1 = y0 + 1, x0 + 1
                _add(grad_image, y0, x0, top & left, channel, there, width, va, scale, C, FIXED)
                _add(grad_image, y0, x1, top & right, channel, there, width, vb, scale, C, FIXED)
                _add(grad_image, y1, x0, bottom & left, channel, there, width, vc, scale, C, FIXED)
                _add(grad_image, y1, x1, bottom & right, channel, there, width, vd, scale, C, FIXED)
            # corners outside the image were read as zero, so they add nothing
            point = at_points[:, None] + (group * TAPS + k)[None, :]
            value = hy * (hx * sa + lx * sb) + ly * (hx * sc + lx * sd)
            tl.store(grad_mask + point, value, mask=needed)
            tl.store(grad_offset + 2 * point, m * (hx * (sc - sa) + lx * (sd - sb)), mask=needed)
            tl.store(
                grad_offset + 2 * point + 1, m * (hy * (sb - sa) + ly * (sd - sc)), mask=needed
            )


@triton.jit
def weight_kernel(
    grad, x, offset, mask, partial,
    height, width, out_height, out_width, images, blocks_each,
    so_n, so_c, so_y, so_x, sm_n, sm_c, sm_y, sm_x,
    C: tl.constexpr, C_OUT: tl.constexpr, CG: tl.constexpr, GROUPS: tl.constexpr,
    KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    PH: tl.constexpr, PW: tl.constexpr, DH: tl.constexpr, DW: tl.constexpr,
    BM: tl.constexpr, BG: tl.constexpr, BC: tl.constexpr, BN: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradient of the weight, summed over a share of the pixels: partial (shares, taps, C, C_OUT).

    Grid: (taps x blocks of groups x blocks of channels, blocks of output channels, shares). The
    shares are added up afterwards, so the result does not depend on the order of the programs.
    """
    TAPS: tl.constexpr = KH * KW
    CHUNKS: tl.constexpr = (CG + BC - 1) // BC
    k = tl.program_id(0) % TAPS
    chunk = tl.program_id(0) // TAPS
    g0, c0 = chunk // CHUNKS * BG, chunk % CHUNKS * BC
    column = tl.program_id(1) * BN + tl.arange(0, BN)
    group, channel, there, row, row_there = _block_channels(g0, c0, CG, GROUPS, BG, BC)
    pixels = out_height * out_width
    blocks = (pixels + BM - 1) // BM
    first = tl.program_id(2) * blocks_each
    total = tl.zeros((BG * BC, BN), dtype=tl.float32)
    for block in range(first, min(first + blocks_each, blocks * images)):
        n = (block // blocks).to(tl.int64)
        p = block % blocks * BM + tl.arange(0, BM)
        valid = p < pixels
        oy, ox = p // out_width, p % out_width
        needed = valid[:, None] & (group < GROUPS)[None, :]
        at_o = n * so_n + oy.to(tl.int64) * so_y + ox.to(tl.int64) * so_x
        at_m = n * sm_n + oy.to(tl.int64) * sm_y + ox.to(tl.int64) * sm_x
        image = x + n * height * width * C
        tap_y, tap_x = _tap_origin(oy, ox, k, KW, SH, SW, PH, PW, DH, DW)
        dy, dx, m = _points(offset, mask, at_o, at_m, group, k, needed, so_c, sm_c, TAPS)
        y0, x0, ly, lx, inside = _geometry(tap_y, tap_x, dy, dx, needed, height, width)
        a, b, c, d = _corners(image, y0, x0, inside, channel, there, height, width, C)
        tile = tl.reshape(_blend(a, b, c, d, ly, lx, m).to(x.dtype.element_ty), (BM, BG * BC))
        at = (n * pixels + p)[:, None] * C_OUT + column[None, :]
        g = tl.load(grad + at, mask=valid[:, None] & (column < C_OUT)[None, :], other=0.0)
        total = tl.dot(tl.trans(tile), g, total, input_precision=PRECISION)
    share = tl.program_id(2).to(tl.int64) * (TAPS * C * C_OUT)
    to = partial + share + (k * C + row)[:, None] * C_OUT + column[None, :]
    tl.store(to, total, mask=row_there[:, None] & (column < C_OUT)[None, :])


@triton.jit
def fused_kernel(
    x, guide, offset_weight, offset_bias, weight, bias, out,
    height, width,
    C: tl.constexpr, C_OUT: tl.constexpr, C_GUIDE: tl.constexpr, GROUPS: tl.constexpr,
    BM: tl.constexpr, BI: tl.constexpr, BN: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """3 x 3 deformable convolution that computes its own offsets and modulation from `guide`.

    The convolution that predicts them is repeated tap by tap: offset_weight (9 taps, 9 positions,
    C_GUIDE, 4 * GROUPS) gives dy, dx and the logit of the modulation of one tap for all groups
    (column 4 g + 0, 1, 2; the fourth is empty), so that they are ready when the tap is sampled and
    never leave the chip. All tensors are dense and channels-last; GROUPS and C / GROUPS are powers
    of two.
    """
    CG: tl.constexpr = C // GROUPS
    n = tl.program_id(1).to(tl.int64)
    p = tl.program_id(0) * BM + tl.arange(0, BM)
    pixels = height * width
    valid = p < pixels
    oy, ox = p // width, p % width
    image = x + n * pixels * C
    guide_image = guide + n * pixels * C_GUIDE
    column = tl.program_id(2) * BN + tl.arange(0, BN)
    group = tl.arange(0, GROUPS)
    channel = group[:, None] * CG + tl.arange(0, CG)[None, :]
    there = channel < C
    row = tl.arange(0, C)
    points = tl.arange(0, 4 * GROUPS)
    needed = valid[:, None] & (group < GROUPS)[None, :]
    total = tl.zeros((BM, BN), dtype=tl.float32)
    for k in range(9):
        found = tl.zeros((BM, 4 * GROUPS), dtype=tl.float32)
        found += tl.load(offset_bias + k * (4 * GROUPS) + points)[None, :]
        for j in range(9):
            gy, gx = oy + (j // 3 - 1), ox + (j % 3 - 1)
            seen = valid & (gy >= 0) & (gy < height) & (gx >= 0) & (gx < width)
            for i0 in range(0, C_GUIDE, BI):
                inner = i0 + tl.arange(0, BI)
                at = ((gy * width + gx) * C_GUIDE)[:, None] + inner[None, :]
                there_i = inner < C_GUIDE
                f = tl.load(guide_image + at, mask=seen[:, None] & there_i[None, :], other=0.0)
                at_w = ((k * 9 + j) * C_GUIDE + inner)[:, None] * (4 * GROUPS) + points[None, :]
                w = tl.load(offset_weight + at_w, mask=there_i[:, None], other=0.0)
                found = tl.dot(f, w, found, input_precision=PRECISION)
        even, odd = tl.split(tl.reshape(found, (BM, GROUPS, 2, 2)))
        dy, logit = tl.split(even)
        dx, _ = tl.split(odd)
        m = 1 / (1 + tl.exp(-logit))
        tap_y, tap_x = oy + (k // 3 - 1), ox + (k % 3 - 1)
        y0, x0, ly, lx, inside = _geometry(tap_y, tap_x, dy, dx, needed, height, width)
        a, b, c, d = _corners(image, y0, x0, inside, channel, there, height, width, C)
        tile = tl.reshape(_blend(a, b, c, d, ly, lx, m).to(x.dtype.element_ty), (BM, C))
        at_w = (k * C + row)[:, None] * C_OUT + column[None, :]
        w = tl.load(weight + at_w, mask=(column < C_OUT)[None, :], other=0.0)
        total = tl.dot(tile, w, total, input_precision=PRECISION)
    total += tl.load(bias + column, mask=column < C_OUT, other=0.0).to(tl.float32)[None, :]
    to = out + n * pixels * C_OUT + p[:, None] * C_OUT + column[None, :]
    tl.store(to, total.to(out.dtype.element_ty), mask=valid[:, None] & (column < C_OUT)[None, :])
