"""The fused path on CUDA cards: launches the Triton kernels and registers them with torch.

Features, weights and gradients are float32, float16 or bfloat16; offsets, modulation, blending and
sums are float32. Triton's interpreter (TRITON_INTERPRET=1) runs the same kernels on CPU tensors,
slowly: that is for tests on machines without a card.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ..system.triton_loading import load_triton
from ._geometry import Geometry
from ._tuning import Launch, fastest

HALF = (torch.float16, torch.bfloat16)
_DTYPES = (torch.float32, *HALF)
_LARGEST_IMAGE = 2**31  # elements that 32-bit indices reach
_FIXED_POINT = 2.0**60  # of the 2**63 that a signed integer holds

# Tried on the card the first time that a kind of layer runs there; the first serves where nothing
# can be timed (Triton's interpreter, the capture of a CUDA graph).
_FORWARD = [
    Launch(64, warps=4, stages=2),
    Launch(64, warps=8, stages=2),
    Launch(128, warps=8, stages=2),
    Launch(128, warps=4, stages=3),
    Launch(32, warps=4, stages=2),
]
_BACKWARD = [Launch(32, warps=4, stages=1), Launch(64, warps=8, stages=1), Launch(32, warps=8)]
_WEIGHT = [Launch(64, warps=4, stages=2), Launch(128, warps=8, stages=2), Launch(64, warps=8)]


@cache
def kernels() -> ModuleType:
    """The kernels; imports Triton."""
    load_triton()
    from . import _triton_kernels

    return _triton_kernels


def interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


def available(device: torch.device) -> bool:
    """Whether this backend runs on `device`: cards from compute capability 8.0, with Triton."""
    if not _installed():
        return False
    if device.type == "cuda" and torch.version.hip is None:
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and interpreted()


def takes(input: Tensor) -> bool:
    """Whether an input's dtype and size are among those the kernels are for."""
    return input.dtype in _DTYPES and input[0].numel() < _LARGEST_IMAGE


def on(device: torch.device) -> AbstractContextManager[object]:
    """Context that launches on `device`."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def product_precision(dtype: torch.dtype) -> str:
    """For float32 TF32, or three of its products where torch is told to be exact."""
    if dtype != torch.float32:
        return "ieee"
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"


def power_of_two(value: int) -> int:
    """The smallest one not below `value`."""
    return 1 << (value - 1).bit_length()


def channels_last(tensor: Tensor) -> Tensor:
    """(N, C, H, W) of any layout -> dense (N, H, W, C)."""
    return tensor.detach().permute(0, 2, 3, 1).contiguous()


def matrix(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """(C_out, C, kh, kw) -> dense (taps, C, C_out)."""
    taps = weight.shape[2] * weight.shape[3]
    flat = weight.detach().to(dtype).permute(2, 3, 1, 0)
    return flat.reshape(taps, weight.shape[1], weight.shape[0]).contiguous()


def _blocks(channels: int, c_out: int, groups: int) -> dict[str, int]:
    """Block sizes along groups, channels of a group, and output channels."""
    each = power_of_two(channels // groups)
    bc = min(each, 64)
    bg = min(power_of_two(groups), 64 // bc)
    bc = max(bc, 16 // bg)  # a tensor core's product is at least 16 long
    return {"BG": bg, "BC": bc, "BN": min(max(power_of_two(c_out), 16), 64)}


def _sizes(channels: int, c_out: int, geo: Geometry) -> dict[str, int]:
    names = ("KH", "KW", "SH", "SW", "PH", "PW", "DH", "DW")
    values = (*geo.kernel, *geo.stride, *geo.padding, *geo.dilation)
    sizes = dict(zip(names, values, strict=True))
    sizes |= {"C": channels, "C_OUT": c_out, "CG": channels // geo.groups, "GROUPS": geo.groups}
    return sizes | _blocks(channels, c_out, geo.groups)


def _cdiv(a: int, b: int) -> int:
    return -(-a // b)


def _key(kind: str, x: Tensor, sizes: dict[str, int]) -> tuple[Any, ...]:
    return (kind, x.device, x.dtype, *sizes.values())


@torch.library.custom_op("tsain::deform_conv2d_triton", mutates_args=())
def deform_conv2d_triton(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: list[int],
) -> Tensor:
    """Deformable convolution, (N, C_out, H_out, W_out), channels-last in memory."""
    geo = Geometry.from_flat(geometry)
    x = channels_last(input)
    n, h, w, c = x.shape
    c_out = weight.shape[0]
    sizes = _sizes(c, c_out, geo)
    out = torch.empty(n, *geo.out, c_out, dtype=x.dtype, device=x.device)
    weights = matrix(weight, x.dtype)
    pixels = geo.out[0] * geo.out[1]

    def launch(how: Launch) -> None:
        grid = (_cdiv(pixels, how.pixels), n, _cdiv(c_out, sizes["BN"]))
        kernels().forward_kernel[grid](
            x,
            offset.detach(),
            mask.detach(),
            weights,
            weights if bias is None else bias.detach(),
            out,
            *(h, w, *geo.out, *offset.stride(), *mask.stride()),
            **sizes,
            **how.options(),
            HAS_BIAS=bias is not None,
            PRECISION=product_precision(x.dtype),
        )

    with on(x.device):
        launch(fastest(_key("forward", x, sizes), _FORWARD, launch, x.device))
    return out.permute(0, 3, 1, 2)


@torch.library.custom_op("tsain::deform_conv2d_triton_backward", mutates_args=())
def deform_conv2d_triton_backward(
    grad: Tensor, input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, geometry: list[int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of input, offset, mask and weight.

    That of the input is summed by atomic additions, in an order that changes from run to run;
    under `torch.use_deterministic_algorithms` it is summed in fixed-point numbers instead.
    """
    geo = Geometry.from_flat(geometry)
    x, g = channels_last(input), channels_last(grad.to(input.dtype))
    with on(x.device):
        grad_w = _weight_gradient(g, x, offset, mask, geo)
        grad_x, grad_o, grad_m = _data_gradients(g, x, offset, mask, weight, geo)
    return (
        grad_x.permute(0, 3, 1, 2).to(input.dtype),
        grad_o.permute(0, 3, 1, 2).to(offset.dtype),
        grad_m.permute(0, 3, 1, 2).to(mask.dtype),
        grad_w.to(weight.dtype),
    )


def _data_gradients(
    g: Tensor, x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, geo: Geometry
) -> tuple[Tensor, Tensor, Tensor]:
    n, h, w, c = x.shape
    c_out, pixels = weight.shape[0], geo.out[0] * geo.out[1]
    sizes, points = _sizes(c, c_out, geo), geo.groups * geo.taps
    fixed = torch.are_deterministic_algorithms_enabled()
    grad_x = torch.zeros(x.shape, dtype=torch.int64 if fixed else torch.float32, device=x.device)
    grad_o = torch.empty(n, *geo.out, 2 * points, device=x.device)
    grad_m = torch.empty(n, *geo.out, points, device=x.device)
    weights = matrix(weight, x.dtype)
    scale = _fixed_point_scale(g, mask, weights, pixels) if fixed else grad_m

    def launch(how: Launch, into: Tensor) -> None:
        kernels().backward_kernel[(_cdiv(pixels, how.pixels), n)](
            *(g, x, offset.detach(), mask.detach(), weights, into, grad_o, grad_m, scale),
            *(h, w, *geo.out, *offset.stride(), *mask.stride()),
            **sizes,
            **how.options(),
            FIXED=fixed,
            PRECISION=product_precision(x.dtype),
        )

    key = _key("backward", x, sizes)
    how = fastest(key, _BACKWARD, lambda how: launch(how, torch.zeros_like(grad_x)), x.device)
    launch(how, grad_x)
    return grad_x.double().div(scale).float() if fixed else grad_x, grad_o, grad_m


def _fixed_point_scale(g: Tensor, mask: Tensor, weights: Tensor, pixels: int) -> Tensor:
    """What makes an integer of a term of the input's gradient such that no sum can overflow."""
    term = g.abs().max().double() * mask.abs().max() * weights.abs().double().sum(2).max()
    most = term * (weights.shape[0] * pixels)
    return (_FIXED_POINT / torch.where(most > 0, most, torch.ones_like(most))).reshape(1)


def _weight_gradient(g: Tensor, x: Tensor, offset: Tensor, mask: Tensor, geo: Geometry) -> Tensor:
    """(C_out, C, kh, kw) in float32; the same for the same operands."""
    n, h, w, c = x.shape
    c_out, pixels = g.shape[3], geo.out[0] * geo.out[1]
    sizes = _sizes(c, c_out, geo)
    chunks = _cdiv(geo.groups, sizes["BG"]) * _cdiv(c // geo.groups, sizes["BC"])
    programs = geo.taps * chunks * _cdiv(c_out, sizes["BN"])

    def launch(how: Launch) -> Tensor:
        blocks = _cdiv(pixels, how.pixels) * n
        each = _cdiv(blocks, max(1, min(blocks, _wanted_programs(x.device) // programs)))
        shares = _cdiv(blocks, each)
        partial = torch.empty(shares, geo.taps, c, c_out, device=x.device)
        kernels().weight_kernel[(geo.taps * chunks, _cdiv(c_out, sizes["BN"]), shares)](
            *(g, x, offset.detach(), mask.detach(), partial),
            *(h, w, *geo.out, n, each, *offset.stride(), *mask.stride()),
            **sizes,
            **how.options(),
            PRECISION=product_precision(x.dtype),
        )
        return partial

    key = _key("weight", x, sizes)
    partial = launch(fastest(key, _WEIGHT, launch, x.device))
    return partial.sum(0).view(*geo.kernel, c, c_out).permute(3, 2, 0, 1).contiguous()


def _wanted_programs(device: torch.device) -> int:
    """Programs that keep a card busy, several on each of its multiprocessors."""
    if device.type != "cuda":
        return 32
    return 8 * int(torch.cuda.get_device_properties(device).multi_processor_count)


@deform_conv2d_triton.register_fake
def _(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: list[int],
) -> Tensor:
    geo = Geometry.from_flat(geometry)
    return input.new_empty(input.shape[0], *geo.out, weight.shape[0]).permute(0, 3, 1, 2)


@deform_conv2d_triton_backward.register_fake
def _(
    grad: Tensor, input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, geometry: list[int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    def dense(t: Tensor) -> Tensor:
        return t.new_empty(t.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)

    return dense(input), dense(offset), dense(mask), weight.new_empty(weight.shape)


def _keep(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:  # type: ignore[type-arg]
    *tensors, bias, geometry = inputs
    ctx.save_for_backward(*tensors)
    ctx.geometry = geometry  # type: ignore[attr-defined]
    ctx.bias_dtype = None if bias is None else bias.dtype  # type: ignore[attr-defined]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    gradients = deform_conv2d_triton_backward(grad, *ctx.saved_tensors, ctx.geometry)
    bias = None if ctx.bias_dtype is None else grad.float().sum((0, 2, 3)).to(ctx.bias_dtype)
    return (*gradients, bias, None)


deform_conv2d_triton.register_autograd(_backward, setup_context=_keep)


def run(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geo: Geometry
) -> Tensor:
    """Backend entry point; see `tsain_core.ops.deform_conv2d`."""
    out: Tensor = deform_conv2d_triton(input, offset, mask, weight, bias, geo.flat())
    return out
