"""Gradients of the deformable convolution where they are delicate: cell edges, threads, layouts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.ops import deform_conv2d as torchvision_deform_conv2d

from tsain_core.ops import Backend, deform_conv2d

BACKENDS: tuple[Backend, ...] = ("cpu", "reference", "torchvision")
NAMES = ("input", "offset", "mask", "weight")


def operands(
    height: int, width: int, n: int = 1, dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    """(input, offset, mask, weight) of 16 -> 8 channels in two groups."""
    torch.manual_seed(0)
    return [
        torch.randn(n, 16, height, width, dtype=dtype, requires_grad=True),
        torch.zeros(n, 36, height, width, dtype=dtype, requires_grad=True),
        torch.rand(n, 18, height, width, dtype=dtype, requires_grad=True),
        torch.randn(8, 16, 3, 3, dtype=dtype, requires_grad=True),
    ]


def gradients(tensors: list[Tensor], grad: Tensor, **options: Any) -> tuple[Tensor, ...]:
    out = deform_conv2d(*tensors, padding=1, **options)  # type: ignore[misc]
    return torch.autograd.grad(out, tensors, grad)


def torchvision_gradients(tensors: list[Tensor], grad: Tensor) -> tuple[Tensor, ...]:
    x, offset, mask, weight = tensors
    out = torchvision_deform_conv2d(x, offset, weight, None, 1, 1, 1, mask)
    return torch.autograd.grad(out, tensors, grad)


def assert_same(got: tuple[Tensor, ...], want: tuple[Tensor, ...]) -> None:
    for name, a, b in zip(NAMES, got, want, strict=True):
        torch.testing.assert_close(a, b, msg=partial("{}: {}".format, name))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["zero", "whole", "half"])
def test_on_pixels_and_on_the_border(kind: str, backend: Backend) -> None:
    """Points exactly on pixels, on -1 and on the height: training starts with zero offsets."""
    tensors = operands(6, 7)
    if kind != "zero":
        steps = torch.randint(-8, 9, tensors[1].shape).double()
        tensors[1] = (steps / (1 if kind == "whole" else 2)).requires_grad_()
    grad = torch.randn(1, 8, 6, 7, dtype=torch.float64)
    want = torchvision_gradients(tensors, grad)
    assert want[1].abs().min() < 1e-9 < want[1].abs().max()
    assert_same(gradients(tensors, grad, backend=backend), want)


@pytest.mark.parametrize("n", [1, 3])
def test_threads_and_bands(n: int) -> None:
    """Several bands shared by several threads, and several callers at once, give the same."""
    tensors = operands(100, 90, n)  # a band holds 7281 of the 9000 pixels
    tensors[1] = (torch.randn_like(tensors[1]) * 3).requires_grad_()
    grad = torch.randn(n, 8, 100, 90, dtype=torch.float64)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = gradients(tensors, grad, backend="cpu")
        torch.set_num_threads(4)
        assert_same(gradients(tensors, grad, backend="cpu"), one)
        with ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(gradients, tensors, grad, backend="cpu") for _ in range(6)]
            for job in jobs:
                assert_same(job.result(), one)
    finally:
        torch.set_num_threads(before)
    assert_same(one, torchvision_gradients(tensors, grad))


def test_threads_that_meet_in_one_pixel() -> None:
    """All points in the same cell: no thread's share of its gradient may get lost."""
    tensors = operands(80, 80)
    rows = torch.arange(80, dtype=torch.float64)[:, None].expand(80, 80)
    inward = torch.stack([40.3 - rows, 40.6 - rows.T]).repeat(18, 1, 1)[None]
    tensors[1] = inward.clone().requires_grad_()
    grad = torch.ones(1, 8, 80, 80, dtype=torch.float64)
    want = torchvision_gradients(tensors, grad)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        for _ in range(5):
            assert_same(gradients(tensors, grad, backend="cpu"), want)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_that_comes_in_any_layout(backend: Backend) -> None:
    tensors = operands(5, 9, 2)
    dense = torch.randn(2, 8, 5, 9, dtype=torch.float64)
    one = torch.ones((), dtype=torch.float64)
    for grad in (
        dense.to(memory_format=torch.channels_last),
        dense.transpose(2, 3).contiguous().transpose(2, 3),
        one.expand(2, 8, 5, 9),
    ):
        assert_same(
            gradients(tensors, grad, backend=backend),
            torchvision_gradients(tensors, grad.contiguous()),
        )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wanted", range(4))
def test_gradient_of_one_operand_alone(wanted: int, backend: Backend) -> None:
    """The others may be frozen."""
    tensors = operands(6, 7)
    want = torchvision_gradients(tensors, torch.ones(1, 8, 6, 7, dtype=torch.float64))[wanted]
    frozen = [t.detach().requires_grad_(i == wanted) for i, t in enumerate(tensors)]
    deform_conv2d(*frozen, padding=1, backend=backend).sum().backward()  # type: ignore[misc]
    got = frozen[wanted].grad
    assert got is not None
    torch.testing.assert_close(got, want)
    assert all(t.grad is None for i, t in enumerate(frozen) if i != wanted)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_lost_under_autocast(backend: Backend) -> None:
    """Forward and, outside of it as usual, backward are those of float32."""
    tensors = operands(8, 9, dtype=torch.float32)
    grad = torch.randn(1, 8, 8, 9)
    with torch.autocast("cpu", torch.bfloat16):
        out = deform_conv2d(*tensors, padding=1, backend=backend)  # type: ignore[misc]
    x, offset, mask, weight = tensors
    want = torchvision_deform_conv2d(x, offset, weight, None, 1, 1, 1, mask)
    torch.testing.assert_close(out, want)
    assert_same(torch.autograd.grad(out, tensors, grad), torchvision_gradients(tensors, grad))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_have_half_precision_gradients(
    dtype: torch.dtype, backend: Backend
) -> None:
    """Offsets and weights stay float32, and so do their gradients."""
    tensors = operands(8, 9, dtype=torch.float32)
    half = [tensors[0].detach().to(dtype).requires_grad_(), *tensors[1:]]
    grad = torch.ones(1, 8, 8, 9, dtype=dtype)
    got = gradients(half, grad, backend=backend)
    assert [g.dtype for g in got] == [dtype, *[torch.float32] * 3]
    exact = [half[0].detach().float().requires_grad_(), *tensors[1:]]
    want = torchvision_gradients(exact, grad.float())
    assert_same(got, (want[0].to(dtype), *want[1:]))
