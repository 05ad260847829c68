"""Operands of deformable convolutions of many kinds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CASES: dict[str, tuple[Any, ...]] = {
    # n, c, c_out, groups, height, width, kernel, stride, padding, dilation, scale of offsets
    "one group": (2, 16, 8, 1, 13, 17, (3, 3), 1, 1, 1, 2.0),
    "eight groups": (1, 64, 64, 8, 12, 9, (3, 3), 1, 1, 1, 2.0),
    "groups of one": (1, 4, 3, 4, 7, 5, (3, 3), 1, 1, 1, 1.0),
    "stride": (1, 8, 8, 2, 14, 15, (3, 3), 2, 1, 1, 1.0),
    "uneven stride": (1, 8, 8, 2, 14, 15, (3, 3), (1, 3), (2, 0), (1, 2), 1.0),
    "dilation": (1, 8, 8, 2, 14, 15, (3, 3), 1, 2, 2, 1.0),
    "no padding": (1, 8, 8, 1, 9, 9, (3, 3), 1, 0, 1, 1.0),
    "1 x 1 kernel": (1, 8, 4, 2, 6, 7, (1, 1), 1, 0, 1, 1.0),
    "3 x 5 kernel": (3, 8, 4, 2, 9, 11, (3, 5), 1, (1, 2), 1, 1.0),
    "one row": (1, 8, 8, 2, 1, 12, (3, 3), 1, 1, 1, 1.0),
    "far outside": (1, 8, 8, 2, 10, 10, (3, 3), 1, 1, 1, 30.0),
    "several bands": (1, 64, 16, 8, 70, 64, (3, 3), 1, 1, 1, 3.0),
}


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def operands(
    case: str, dtype: torch.dtype = torch.float32, size: tuple[int, int] | None = None
) -> tuple[list[Tensor], dict]:
    """(input, offset, mask, weight, bias), and the keyword arguments; `size` of another image."""
    n, c, c_out, groups, *own_size, kernel, stride, padding, dilation, scale = CASES[case]
    h, w = size or own_size
    torch.manual_seed(0)
    out = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(
            (h, w), kernel, pair(stride), pair(padding), pair(dilation), strict=True
        )
    ]
    taps = kernel[0] * kernel[1]
    tensors = [
        torch.randn(n, c, h, w, dtype=dtype),
        torch.randn(n, 2 * taps * groups, *out, dtype=dtype) * scale,
        torch.rand(n, taps * groups, *out, dtype=dtype),
        torch.randn(c_out, c, *kernel, dtype=dtype),
        torch.randn(c_out, dtype=dtype),
    ]
    return tensors, {"stride": stride, "padding": padding, "dilation": dilation}
