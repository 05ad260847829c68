"""Deformable convolution that predicts its own sampling points, in one kernel: for inference.

The offsets never reach memory. Whether that is faster than two kernels depends on the card, so both
are timed where this kind of layer first runs (`pays`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import _cpu, _triton
from ._autocast import autocast_off
from ._geometry import Geometry
from ._tuning import Launch, chosen, fastest
from .deform_conv import DeformConv2d, choose_backend

_LAUNCHES = [
    Launch(64, warps=4, stages=2),
    Launch(64, warps=8, stages=2),
    Launch(128, warps=8, stages=2),
    Launch(128, warps=8, stages=3),
]
_GUIDE_BLOCK = 64


def fits(x: Tensor, guide: Tensor, groups: int) -> bool:
    """Whether the kernel is for operands like these, and this device."""
    channels = x.shape[1]
    powers = all(n & (n - 1) == 0 for n in (channels, groups))
    return (
        powers
        and groups >= 4
        and 16 <= channels <= 128
        and x.shape == guide.shape
        and x.dtype == guide.dtype
        and _triton.takes(x)
        and _triton.available(x.device)
    )


def pack_offset_weights(
    weight: Tensor, bias: Tensor, groups: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Weights of the offset convolution in the kernel's order.

    Parameters
    ----------
    weight : Tensor, (27 groups, C, 3, 3)
    bias : Tensor, (27 groups,)
    groups : int
    dtype : torch.dtype
        Of the packed weights; the bias stays float32.

    Returns
    -------
    Tensor, (9 taps, 9 positions, C, 4 groups), and Tensor, (9 taps, 4 groups)
        Column 4 g + (0, 1, 2): dy, dx and modulation of group g.
    """
    c = weight.shape[1]
    rows = torch.cat([weight.detach().reshape(27 * groups, -1), bias.detach()[:, None]], 1)
    offset = rows[: 18 * groups].reshape(groups, 9, 2, -1)
    mask = rows[18 * groups :].reshape(groups, 9, 1, -1)
    packed = F.pad(torch.cat([offset, mask], 2), (0, 0, 0, 1))  # (groups, taps, 4, 9 C + 1)
    weights = packed[..., :-1].reshape(groups, 9, 4, c, 9).permute(1, 4, 3, 0, 2)
    biases = packed[..., -1].permute(1, 0, 2).reshape(9, 4 * groups)
    return weights.reshape(9, 9, c, 4 * groups).to(dtype).contiguous(), biases.float().contiguous()


@torch.library.custom_op("tsain::adaptive_sampling_triton", mutates_args=())
def adaptive_sampling(
    x: Tensor,
    guide: Tensor,
    offset_weight: Tensor,
    offset_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    groups: int,
) -> Tensor:
    """Sample `x` (N, C, H, W) where a 3 x 3 convolution of `guide` says; no gradients.

    `offset_weight` (27 groups, C, 3, 3) and `offset_bias` predict offsets and, through a sigmoid,
    the modulation; `weight` (C_out, C, 3, 3) and `bias` are those of the deformable convolution.
    """
    last, guide_last = _triton.channels_last(x), _triton.channels_last(guide)
    n, h, w, c = last.shape
    c_out = weight.shape[0]
    out = torch.empty(n, h, w, c_out, dtype=x.dtype, device=x.device)
    packed = pack_offset_weights(offset_weight, offset_bias, groups, x.dtype)
    matrix = _triton.matrix(weight, x.dtype)
    block = min(max(_triton.power_of_two(c_out), 16), 64)

    def launch(how: Launch) -> None:
        grid = (-(-h * w // how.pixels), n, -(-c_out // block))
        _triton.kernels().fused_kernel[grid](
            *(last, guide_last, *packed, matrix, bias.detach(), out, h, w),
            C=c,
            C_OUT=c_out,
            C_GUIDE=c,
            GROUPS=groups,
            BI=min(c, _GUIDE_BLOCK),
            BN=block,
            **how.options(),
            PRECISION=_triton.product_precision(x.dtype),
        )

    with _triton.on(x.device):
        key = ("fused", x.device, x.dtype, c, c_out, groups)
        launch(fastest(key, _LAUNCHES, launch, x.device))
    return out.permute(0, 3, 1, 2)


@adaptive_sampling.register_fake
def _(
    x: Tensor,
    guide: Tensor,
    offset_weight: Tensor,
    offset_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    groups: int,
) -> Tensor:
    n, _, h, w = x.shape
    return x.new_empty(n, h, w, weight.shape[0]).permute(0, 3, 1, 2)


def separately(
    x: Tensor,
    guide: Tensor,
    offset_weight: Tensor,
    offset_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    groups: int,
) -> Tensor:
    """The same by two kernels, the offsets in float32 between them."""
    parameters = F.conv2d(guide.float(), offset_weight, offset_bias, padding=1)
    offset, mask = parameters.split((18 * groups, 9 * groups), 1)
    size = (x.shape[2], x.shape[3])
    geo = Geometry((3, 3), (1, 1), (1, 1), (1, 1), size, groups)
    return _triton.run(x, offset, mask.sigmoid(), weight, bias, geo)


def sample_fused(
    x: Tensor, guide: Tensor, offset_conv: nn.Conv2d, deform: DeformConv2d
) -> Tensor | None:
    """`x` (N, C, H, W) sampled where the offset convolution of `guide` says, without gradients.

    None where gradients are wanted, no fused path runs, or it was found to be slower.
    """
    if torch.is_grad_enabled() or offset_conv.bias is None or deform.bias is None:
        return None
    groups = offset_conv.out_channels // 27
    operands = (x, guide, offset_conv.weight, offset_conv.bias, deform.weight, deform.bias)
    backend = choose_backend(x.device)
    inference = torch.is_inference_mode_enabled() and not torch.compiler.is_compiling()
    if backend == "cpu" and inference and x.dtype != torch.float64:
        with autocast_off(x.device):
            return _cpu.adaptive_sampling(*operands, groups)
    if backend != "triton" or not fits(x, guide, groups) or not pays(operands, groups):
        return None
    out: Tensor = adaptive_sampling(*operands, groups)
    return out


def pays(operands: tuple[Tensor, ...], groups: int) -> bool:
    """Whether `adaptive_sampling` is faster than `separately` for operands like these.

    Timed on CUDA when it is first called; False where nothing was or can be timed.
    """
    x, weight = operands[0], operands[4]
    key = ("fuse", x.device, x.dtype, x.shape[1], weight.shape[0], groups)
    if torch.compiler.is_compiling():
        return chosen(key) is adaptive_sampling
    ways: list[Callable[..., Tensor]] = [separately, adaptive_sampling]
    return fastest(key, ways, lambda way: way(*operands, groups), x.device) is adaptive_sampling
