"""The multi-threaded CPU path: gather columns in bands, multiply, drop them.

Bands of output pixels keep the column buffer within `_BAND_BYTES`, whatever the image size. Within
a band the gather is shared among threads, then one matrix product uses torch's own threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ._cpu_kernels import Kernel, gather_kernel, scatter_kernel
from ._geometry import Geometry

Array = NDArray[Any]

_BAND_BYTES = 16 << 20
_LARGE = 2**31  # elements of an image from which 32-bit indices do not suffice
_SMALLEST_SHARE = 256  # output pixels below which a second thread does not pay


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="tsain-deform")


def _workers(pixels: int) -> int:
    """How many threads share a band of so many pixels."""
    return max(1, min(torch.get_num_threads(), pixels // _SMALLEST_SHARE))


def _share(
    kernel: Kernel,
    first: int,
    last: int,
    inputs: tuple[Array, ...],
    columns: tuple[Array, ...],
    outputs: Sequence[tuple[Array, ...]],
    steps: tuple[tuple[int, ...], ...],
) -> None:
    """Run a kernel on the pixels of a band, an equal part a thread.

    `columns` are buffers with a row a pixel of the band; each worker writes to its own `outputs`.
    """

    def work(worker: int) -> None:
        a, b = edges[worker], edges[worker + 1]
        parts = (buffer[a - first : b - first].reshape(-1) for buffer in columns)
        kernel(*inputs, *parts, *outputs[worker], a, b, *steps)

    threads = _workers(last - first)
    edges = [first + (last - first) * i // threads for i in range(threads + 1)]
    jobs = [_pool(torch.get_num_threads()).submit(work, i) for i in range(1, threads)]
    work(0)
    for job in jobs:
        job.result()


def _bands(pixels: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    rows = max(_SMALLEST_SHARE, _BAND_BYTES // row_bytes)
    for first in range(0, pixels, rows):
        yield first, min(first + rows, pixels)


def _steps(geo: Geometry, h: int, w: int, c: int) -> tuple[tuple[int, ...], ...]:
    """What the kernels take of the geometry, and (height, width, channels, output width)."""
    return geo.kernel, geo.stride, geo.padding, geo.dilation, (h, w, c, geo.out[1])


def _channels_last(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, C, H, W) of any layout -> dense (N, H, W, C)."""
    return tensor.detach().to(dtype).permute(0, 2, 3, 1).contiguous()


def _compute_dtype(input: Tensor) -> torch.dtype:
    return torch.float64 if input.dtype == torch.float64 else torch.float32


def _spread(tensor: Tensor, dtype: torch.dtype) -> tuple[list[Array], tuple[int, int, int]]:
    """Each image of (N, C, H, W) as a flat array, and its steps (row, pixel, channel)."""
    t = tensor.detach().to(dtype)
    _, channel, row, pixel = t.stride()
    reach = sum((size - 1) * step for size, step in zip(t.shape[1:], t.stride()[1:], strict=True))
    images = [image.as_strided((reach + 1,), (1,)).numpy() for image in t]
    return images, (row, pixel, channel)


def _product(columns: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    """columns (rows, K) times matrix (K, C_out), plus bias."""
    if columns.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return torch.mm(columns, matrix) if bias is None else torch.addmm(bias, columns, matrix)
    # As a 1 x 1 convolution, which oneDNN computes: MKL's product is half as fast on AMD's.
    rows, inner = columns.shape
    image = columns.view(1, rows, 1, inner).permute(0, 3, 1, 2)  # channels-last
    out = F.conv2d(image, matrix.t()[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(rows, -1)


def _matrix(weight: Tensor, groups: int, dtype: torch.dtype) -> Tensor:
    """(C_out, C, kh, kw) -> (C * taps, C_out), its rows in the order of the columns."""
    c_out, c = weight.shape[:2]
    split = weight.detach().to(dtype).reshape(c_out, groups, c // groups, -1)
    return split.permute(1, 3, 2, 0).reshape(-1, c_out)


def _forward(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geo: Geometry
) -> Tensor:
    dtype = _compute_dtype(input)
    x = _channels_last(input, dtype)
    (o, o_steps), (m, m_steps) = _spread(offset, dtype), _spread(mask, dtype)
    n, h, w, c = x.shape
    c_out = weight.shape[0]
    matrix = _matrix(weight, geo.groups, dtype)
    bias = None if bias is None else bias.detach().to(dtype)
    pixels, row = geo.out[0] * geo.out[1], geo.taps * c
    out = torch.empty(n, pixels, c_out, dtype=dtype)
    bands = list(_bands(pixels, row * x.element_size()))
    columns = torch.empty(bands[0][1], row, dtype=dtype)
    buffers = (columns.numpy(),)
    kernel = gather_kernel(c // geo.groups, h * w * c >= _LARGE)
    steps = (0, *o_steps, *m_steps), *_steps(geo, h, w, c)
    nothing = [()] * _workers(bands[0][1])  # besides the columns
    for i in range(n):
        inputs = x[i].view(-1).numpy(), o[i], m[i]
        for first, last in bands:
            _share(kernel, first, last, inputs, buffers, nothing, steps)
            out[i, first:last] = _product(columns[: last - first], matrix, bias)
    return out.view(n, *geo.out, c_out).permute(0, 3, 1, 2).to(input.dtype)


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

    Like `tsain_core.ops.sample_fused`. The offsets of a band are sampled while they are in the
    cache, and never stored as a whole: for an image they are several times larger than `x`.
    """
    last = _channels_last(x, torch.float32)
    n, h, w, c = last.shape
    c_out = weight.shape[0]
    matrix = _matrix(weight, groups, torch.float32)
    offset_weight = offset_weight.detach().contiguous(memory_format=torch.channels_last)
    geo = Geometry((3, 3), (1, 1), (1, 1), (1, 1), (h, w), groups)
    kernel, steps = gather_kernel(c // groups, h * w * c >= _LARGE), _steps(geo, h, w, c)
    out = torch.empty(n, h * w, c_out)
    rows = min(h, max(1, _BAND_BYTES // (4 * 9 * c * w)))
    columns = torch.empty(rows * w, 9 * c)
    buffers, nothing = (columns.numpy(),), [()] * _workers(rows * w)
    for i in range(n):
        image = last[i].view(-1).numpy()
        for top in range(0, h, rows):
            bottom = min(top + rows, h)
            band = guide[i : i + 1, :, max(0, top - 1) : bottom + 1].detach().float()
            if top == 0 or bottom == h:
                band = F.pad(band, (0, 0, int(top == 0), int(bottom == h)))
            points = F.conv2d(band, offset_weight, offset_bias.detach(), padding=(0, 1))
            mask = points[:, 18 * groups :].sigmoid_()
            (o, o_steps), (m, m_steps) = (
                _spread(t, torch.float32) for t in (points[:, : 18 * groups], mask)
            )
            where = (top, *o_steps, *m_steps), *steps
            _share(kernel, top * w, bottom * w, (image, o[0], m[0]), buffers, nothing, where)
            product = _product(columns[: (bottom - top) * w], matrix, bias.detach())
            out[i, top * w : bottom * w] = product
    return out.view(n, h, w, c_out).permute(0, 3, 1, 2).to(x.dtype)


@torch.library.custom_op("tsain::deform_conv2d_cpu", mutates_args=(), device_types="cpu")
def deform_conv2d_cpu(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, geometry: list[int]
) -> Tensor:
    """Deformable convolution without bias, (N, C_out, H_out, W_out), channels-last in memory."""
    return _forward(input, offset, mask, weight, None, Geometry.from_flat(geometry))


@torch.library.custom_op("tsain::deform_conv2d_cpu_backward", mutates_args=(), device_types="cpu")
def deform_conv2d_cpu_backward(
    grad: Tensor, input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, geometry: list[int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of input, offset, mask and weight. Columns are gathered again, band by band."""
    geo = Geometry.from_flat(geometry)
    dtype = _compute_dtype(input)
    x, o, m, d = (_channels_last(t, dtype) for t in (input, offset, mask, grad))
    n, h, w, c = x.shape
    c_out = weight.shape[0]
    matrix = _matrix(weight, geo.groups, dtype)
    pixels, row = geo.out[0] * geo.out[1], geo.taps * c
    d = d.view(n, pixels, c_out)
    grad_o, grad_m, grad_matrix = torch.empty_like(o), torch.empty_like(m), torch.zeros_like(matrix)
    grad_x = torch.empty(n, h * w * c, dtype=dtype)
    bands = list(_bands(pixels, row * x.element_size()))
    # Threads add to the input's gradient where sampling points meet, so each has a copy of its own.
    copies = torch.empty(_workers(bands[0][1]), h * w * c, dtype=dtype)
    columns, grad_columns = torch.empty(2, bands[0][1], row, dtype=dtype)
    buffers = grad_columns.numpy(), columns.numpy()
    kernel, steps = scatter_kernel(c // geo.groups), _steps(geo, h, w, c)
    for i in range(n):
        inputs = x[i].view(-1).numpy(), o[i].numpy(), m[i].numpy()
        copies.zero_()
        outputs = [(own.numpy(), grad_o[i].numpy(), grad_m[i].numpy()) for own in copies]
        for first, last in bands:
            band = d[i, first:last]
            torch.mm(band, matrix.t(), out=grad_columns[: last - first])
            _share(kernel, first, last, inputs, buffers, outputs, steps)
            grad_matrix.addmm_(columns[: last - first].t(), band)
        torch.sum(copies, 0, out=grad_x[i])
    grad_w = grad_matrix.view(geo.groups, geo.taps, -1, c_out).permute(3, 0, 2, 1)
    grad_w = grad_w.reshape(weight.shape)
    return (
        grad_x.view(n, h, w, c).permute(0, 3, 1, 2).to(input.dtype),
        grad_o.permute(0, 3, 1, 2).to(offset.dtype),
        grad_m.permute(0, 3, 1, 2).to(mask.dtype),
        grad_w.to(weight.dtype).contiguous(),
    )


@deform_conv2d_cpu.register_fake
def _(input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, geometry: list[int]) -> Tensor:
    geo = Geometry.from_flat(geometry)
    shape = (input.shape[0], *geo.out, weight.shape[0])
    return input.new_empty(shape).permute(0, 3, 1, 2)


@deform_conv2d_cpu_backward.register_fake
def _(
    grad: Tensor, input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, geometry: list[int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    def dense(t: Tensor) -> Tensor:
        return t.new_empty(t.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)

    return dense(input), dense(offset), dense(mask), weight.new_empty(weight.shape)


def _keep(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:  # type: ignore[type-arg]
    *tensors, geometry = inputs
    ctx.save_for_backward(*tensors)
    ctx.geometry = geometry  # type: ignore[attr-defined]


def _backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
    tensors = ctx.saved_tensors  # type: ignore[attr-defined]
    return (*deform_conv2d_cpu_backward(grad, *tensors, ctx.geometry), None)  # type: ignore[attr-defined]


deform_conv2d_cpu.register_autograd(_backward, setup_context=_keep)


def run(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geo: Geometry
) -> Tensor:
    """Backend entry point; see `tsain_core.ops.deform_conv2d`."""
    # A custom operator imports torch's compiler, and with it Triton, when it is first called: two
    # seconds, and beside Mesa's software OpenGL a crash (both bring an LLVM). Inference needs none.
    if torch.is_inference_mode_enabled() and not torch.compiler.is_compiling():
        return _forward(input, offset, mask, weight, bias, geo)
    out: Tensor = deform_conv2d_cpu(input, offset, mask, weight, geo.flat())
    return out if bias is None else out + bias.view(1, -1, 1, 1)


def available(device: torch.device) -> bool:
    """Whether this backend runs on `device`."""
    return device.type == "cpu"
