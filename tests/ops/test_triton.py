"""The Triton kernels against the reference: on a CUDA card, else in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from support import TESTS
from support.deformable import CASES, operands
from tsain_core.ops import _fused, _triton, choose_backend, deform_conv2d

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")

pytestmark = pytest.mark.skipif(not _triton.available(DEVICE), reason="Triton is not installed")
NAMES = ("output", "input", "offset", "mask", "weight", "bias")
SMALL = [case for case in CASES if case not in ("several bands", "3 x 5 kernel")]
#: Sizes that fill several blocks of pixels, the last in part; the interpreter is slow.
SIZES = {
    "one group": (7, 11),
    "eight groups": (7, 10),
    "dilation": (7, 10),
    "far outside": (7, 10),
}


def few(case: str, dtype: torch.dtype = torch.float32) -> tuple[list[Tensor], dict]:
    """Operands of a case, on fewer pixels for the interpreter."""
    return operands(case, dtype, None if CUDA else SIZES.get(case))


def on_device(tensors: list[Tensor]) -> list[Tensor]:
    return [t.detach().to(DEVICE).requires_grad_() for t in tensors]


def results(tensors: list[Tensor], backend: str, **options: Any) -> list[Tensor]:
    """Output and the gradients of all operands."""
    out = deform_conv2d(*tensors, **options, backend=backend)  # type: ignore[misc, arg-type]
    torch.manual_seed(3)
    grad = torch.randn(out.shape).to(out)
    return [out.detach(), *torch.autograd.grad(out, tensors, grad)]


def assert_same(got: list[Tensor], want: list[Tensor], bound: float) -> None:
    """Largest difference against the largest value of each result."""
    for name, a, b in zip(NAMES, got, want, strict=True):
        assert a.shape == b.shape, name
        error = (a.double() - b.double()).abs().max() / b.double().abs().max()
        assert error <= bound, f"{name}: {error:.2g} > {bound:.2g}"


@pytest.mark.parametrize("case", SMALL)
def test_equals_the_reference(case: str) -> None:
    tensors, options = few(case)
    tensors = on_device(tensors)
    exact = [t.detach().double().requires_grad_() for t in tensors]
    assert_same(results(tensors, "triton", **options), results(exact, "reference", **options), 2e-6)


@pytest.mark.parametrize("case", ["one group", "eight groups"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features(case: str, dtype: torch.dtype) -> None:
    """Offsets stay float32, so errors are those of rounding features and weights."""
    if dtype == torch.bfloat16 and not CUDA:
        pytest.skip("Triton's interpreter multiplies bfloat16 as if it were integers")
    tensors, options = few(case)
    features, *others = on_device(tensors)
    half = [features.detach().to(dtype).requires_grad_(), *others]
    got = results(half, "triton", **options)
    assert [t.dtype for t in got] == [dtype, dtype, *[torch.float32] * 4]
    exact = [t.detach().double().requires_grad_() for t in (half[0], *others)]
    bound = 2e-3 if dtype == torch.float16 else 1e-2
    assert_same(got, results(exact, "reference", **options), bound)


def test_offset_and_mask_may_be_parts_of_one_tensor() -> None:
    """As the convolution that predicts them makes them: no copy is needed to tell them apart."""
    tensors, options = few("eight groups")
    x, offset, mask, weight, bias = on_device(tensors)
    both = torch.cat([offset, mask], 1).contiguous(memory_format=torch.channels_last)
    parts = both[:, :144], both[:, 144:]
    got = deform_conv2d(x, *parts, weight, bias, **options, backend="triton")
    want = deform_conv2d(x, offset, mask, weight, bias, **options, backend="reference")
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4)


def test_points_that_are_nowhere_read_nothing() -> None:
    tensors, options = few("one group")
    for row, value in enumerate((float("nan"), float("inf"), -1e30), start=2):
        tensors[1][:, :, row] = value
    got = deform_conv2d(*(t.to(DEVICE) for t in tensors), **options, backend="triton")
    assert got.isfinite().all()


def test_deterministic_gradient() -> None:
    """All points in the same cell; sums of integers do not depend on the order of additions."""
    torch.manual_seed(0)
    side, times = (12, 3) if CUDA else (9, 2)
    rows = torch.arange(float(side))[:, None].expand(side, side)
    inward = torch.stack([5.3 - rows, 5.6 - rows.T]).repeat(18, 1, 1)[None]
    x, mask = torch.randn(1, 16, side, side), torch.rand(1, 18, side, side)
    tensors = on_device([x, inward, mask, torch.randn(8, 16, 3, 3)])
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        runs = []
        for _ in range(times):
            out = deform_conv2d(*tensors, padding=1, backend="triton")  # type: ignore[misc]
            runs.append(torch.autograd.grad(out.square().sum(), tensors))
    finally:
        torch.use_deterministic_algorithms(False)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))
    out = deform_conv2d(*tensors, padding=1, backend="reference")  # type: ignore[misc]
    for got, want in zip(runs[0], torch.autograd.grad(out.square().sum(), tensors), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5 * float(want.abs().max()))


def test_what_the_kernels_are_not_for_goes_to_another_backend() -> None:
    tensors, options = few("one group", torch.float64)
    got = deform_conv2d(*(t.to(DEVICE) for t in tensors), **options, backend="triton")
    assert got.dtype == torch.float64
    torch.testing.assert_close(got.cpu(), deform_conv2d(*tensors, **options, backend="reference"))


def test_custom_operators_are_sound() -> None:
    """A kernel of two taps and an output of another size: torch calls it again and again."""
    torch.manual_seed(0)
    kernel, out, groups = (1, 2), (3, 4), 2
    geometry = [*kernel, 1, 1, 0, 0, 1, 1, *out, groups]
    shapes = (1, 4, 3, 5), (1, 4 * groups, *out), (1, 2 * groups, *out), (3, 4, *kernel), (3,)
    tensors = on_device([torch.rand(shape) for shape in shapes])
    torch.library.opcheck(_triton.deform_conv2d_triton, (*tensors, geometry))
    torch.library.opcheck(_triton.deform_conv2d_triton, (*tensors[:4], None, geometry))


def layer(groups: int, channels: int, c_out: int, height: int, width: int) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    shapes: tuple[tuple[int, ...], ...] = (
        *[(2, channels, height, width)] * 2,
        (27 * groups, channels, 3, 3),
        (27 * groups,),
        (c_out, channels, 3, 3),
        (c_out,),
    )
    scales = 1, 1, 0.1, 1, 1, 1
    return tuple(
        s * torch.randn(shape, device=DEVICE) for s, shape in zip(scales, shapes, strict=True)
    )


@pytest.mark.parametrize(
    "groups, channels, c_out, size", [(8, 64, 64, (9, 11)), (4, 32, 24, (7, 5))]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_fused_with_the_convolution_that_predicts_the_points(
    groups: int, channels: int, c_out: int, size: tuple[int, int], dtype: torch.dtype
) -> None:
    x, guide, *weights = layer(groups, channels, c_out, *size)
    x, guide = x.to(dtype), guide.to(dtype)
    assert _fused.fits(x, guide, groups)
    got = _fused.adaptive_sampling(x, guide, *weights, groups)
    kernel, shift = (w.double() for w in weights[:2])
    parameters = torch.nn.functional.conv2d(guide.double(), kernel, shift, padding=1)
    want = deform_conv2d(
        x.double(),
        parameters[:, : 18 * groups],
        parameters[:, 18 * groups :].sigmoid(),
        *(w.double() for w in weights[2:]),
        padding=1,
        backend="reference",
    )
    assert got.dtype == dtype
    bound = 1e-5 if dtype == torch.float32 else 1e-2
    assert (got - want).abs().max() <= bound * want.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_fused_operator_is_sound(dtype: torch.dtype) -> None:
    """What torch itself checks, which runs the kernel again and again: on one block of pixels."""
    x, guide, *weights = layer(4, 16, 8, 3, 5)
    operands = (x.to(dtype), guide.to(dtype), *weights, 4)
    torch.library.opcheck(_fused.adaptive_sampling, operands)


def test_fusing_is_not_chosen_where_it_cannot_be_timed() -> None:
    if CUDA:
        pytest.skip("a CUDA card times it")
    operands = layer(8, 64, 64, 4, 4)
    assert not _fused.pays(operands, 8)
    assert not _fused.fits(operands[0], operands[1], 1)
    assert choose_backend(DEVICE) == "cpu"


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_compiles_for_cards_that_are_not_here(capability: int) -> None:
    """To machine code, for Ampere and Hopper; on Hopper half precision spills no registers."""
    script = TESTS / "support" / "compile_kernels.py"
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, str(script), str(capability)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) >= 20
    if capability == 90:
        assert all(line[-1] == "0" for line in lines if line[1] == "bf16"), done.stdout


@pytest.mark.gpu
@pytest.mark.skipif(not CUDA, reason="needs a CUDA device")
@pytest.mark.parametrize("groups", [1, 8])
def test_compiled_and_captured(groups: int) -> None:
    """Under torch.compile without graph breaks, under autocast, and in a CUDA graph."""
    torch.manual_seed(0)
    x = torch.randn(1, 64, 32, 40, device=DEVICE, dtype=torch.bfloat16)
    offset = torch.randn(1, 18 * groups, 32, 40, device=DEVICE)
    mask = torch.rand(1, 9 * groups, 32, 40, device=DEVICE)
    weight = torch.randn(64, 64, 3, 3, device=DEVICE)
    call = partial(deform_conv2d, padding=1)
    want = call(x, offset, mask, weight)
    compiled = torch.compile(call, fullgraph=True)
    with torch.autocast("cuda", torch.bfloat16):
        torch.testing.assert_close(compiled(x, offset, mask, weight), want)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = call(x, offset, mask, weight)
    x.copy_(x.flip(2))
    graph.replay()
    torch.testing.assert_close(out, call(x, offset, mask, weight))
