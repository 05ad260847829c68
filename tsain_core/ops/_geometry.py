"""Shapes of a deformable convolution: checked once, then passed to every backend."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """Kernel, stride, padding, dilation (each (y, x)), output size and number of offset groups."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    out: tuple[int, int]
    groups: int

    @property
    def taps(self) -> int:
        """Kernel positions, 9 for a 3 x 3 kernel."""
        return self.kernel[0] * self.kernel[1]

    def flat(self) -> list[int]:
        """The numbers in a fixed order, for signatures that take no objects."""
        return [
            *self.kernel,
            *self.stride,
            *self.padding,
            *self.dilation,
            *self.out,
            self.groups,
        ]

    @staticmethod
    def from_flat(values: list[int]) -> Geometry:
        """Inverse of `flat`."""
        kh, kw, sh, sw, ph, pw, dh, dw, oh, ow, groups = values
        return Geometry((kh, kw), (sh, sw), (ph, pw), (dh, dw), (oh, ow), groups)


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """One number for both axes, or (y, x) as it is."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def check_geometry(
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Geometry:
    """Check that the operands fit together and derive the output size.

    Raises
    ------
    ValueError
        In one line: what was found, and what is needed.
    """
    if input.ndim != 4 or weight.ndim != 4:
        raise ValueError(
            f"input is {input.ndim}-D and weight {weight.ndim}-D; "
            "expected input (N, C, H, W) and weight (C_out, C, kh, kw)."
        )
    if not input.is_floating_point():
        raise ValueError(f"input is {input.dtype}; expected floating-point numbers: convert it.")
    n, c, h, w = input.shape
    c_out, c_weight, kh, kw = weight.shape
    if c_weight != c:
        raise ValueError(
            f"weight is for {c_weight} input channels, input has {c}; they must agree."
        )
    out = tuple(
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip((h, w), (kh, kw), stride, padding, dilation, strict=True)
    )
    if min(out) < 1:
        raise ValueError(
            f"The output would be {out[0]} x {out[1]}; pass a larger input or more padding."
        )
    taps = kh * kw
    groups, rest = divmod(offset.shape[1], 2 * taps) if offset.ndim == 4 else (0, 1)
    if rest or groups < 1 or c % groups or tuple(offset.shape) != (n, 2 * taps * groups, *out):
        raise ValueError(
            f"offset is {tuple(offset.shape)}; expected (N, 2 * {taps} * groups, {out[0]}, "
            f"{out[1]}) with N = {n} and a number of groups that divides the {c} channels."
        )
    if mask is not None and tuple(mask.shape) != (n, taps * groups, *out):
        raise ValueError(
            f"mask is {tuple(mask.shape)}; expected {(n, taps * groups, *out)} to fit the offsets."
        )
    if bias is not None and tuple(bias.shape) != (c_out,):
        raise ValueError(f"bias is {tuple(bias.shape)}; expected ({c_out},).")
    return Geometry((kh, kw), stride, padding, dilation, (out[0], out[1]), groups)
