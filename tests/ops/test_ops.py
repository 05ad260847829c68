"""Deformable convolution: every backend against torchvision, and what must never happen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numba
import pytest
import torch
from torch import Tensor
from torchvision.ops import deform_conv2d as torchvision_deform_conv2d

from support.deformable import CASES, operands
from tsain_core.errors import TsainError
from tsain_core.inference.cost import multiply_adds
from tsain_core.network import NetworkSettings
from tsain_core.ops import Backend, DeformConv2d, _cpu_kernels, choose_backend, deform_conv2d

BACKENDS: tuple[Backend, ...] = ("cpu", "reference", "torchvision")


def expected(tensors: list[Tensor], options: dict) -> Tensor:
    x, offset, mask, weight, bias = tensors
    result: Tensor = torchvision_deform_conv2d(x, offset, weight, bias, mask=mask, **options)
    return result


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_equals_torchvision_forward_and_backward(case: str, backend: str) -> None:
    tensors, options = operands(case, torch.float64)
    for t in tensors:
        t.requires_grad_()
    want = expected(tensors, options)
    got = deform_conv2d(*tensors, **options, backend=backend)  # type: ignore[misc, arg-type]
    torch.testing.assert_close(got, want)
    grad = torch.randn_like(want)
    for name, a, b in zip(
        ("input", "offset", "mask", "weight", "bias"),
        torch.autograd.grad(got, tensors, grad),
        torch.autograd.grad(want, tensors, grad),
        strict=True,
    ):
        torch.testing.assert_close(a, b, msg=partial("{}: {}".format, name))


@pytest.mark.parametrize("backend", BACKENDS)
def test_float32_is_as_exact_as_torchvision(backend: str) -> None:
    tensors, options = operands("eight groups")
    exact = expected([t.double() for t in tensors], options)
    got = deform_conv2d(*tensors, **options, backend=backend)  # type: ignore[misc, arg-type]
    theirs = (expected(tensors, options) - exact).abs().max()
    assert (got - exact).abs().max() <= 4 * theirs


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_gradcheck(backend: str) -> None:
    torch.manual_seed(1)
    x = torch.randn(1, 4, 4, 5, dtype=torch.float64, requires_grad=True)
    # away from cell edges, where the derivative by the offset jumps
    whole = torch.randint(-2, 3, (1, 36, 4, 5)).double()
    offset = (whole + 0.2 + 0.6 * torch.rand(1, 36, 4, 5).double()).requires_grad_()
    mask = torch.rand(1, 18, 4, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *t: deform_conv2d(*t, padding=1, backend=backend),  # type: ignore[arg-type]
        (x, offset, mask, weight, bias),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_layouts(backend: str) -> None:
    """Channels-last and non-contiguous operands give the same."""
    tensors, options = operands("one group")
    want = expected(tensors, options)
    last = [t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for t in tensors]
    strided = [torch.stack([t, -t], -1)[..., 0] for t in tensors]
    for variant in (last, strided):
        got = deform_conv2d(*variant, **options, backend=backend)  # type: ignore[misc, arg-type]
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 1e9])
def test_wild_offsets_read_nothing(backend: str, value: float) -> None:
    """As if those points were masked out, forward and backward; nothing crashes."""
    tensors, options = operands("eight groups")
    wild = torch.rand(tensors[1].shape[0], tensors[2].shape[1], *tensors[1].shape[2:]) < 0.3
    offset = torch.where(wild.repeat_interleave(2, 1), torch.full((), value), tensors[1])
    masked = [*tensors[:2], tensors[2] * ~wild, *tensors[3:]]
    want = expected(masked, options)
    variant = [tensors[0].requires_grad_(), offset.requires_grad_(), *tensors[2:]]
    got = deform_conv2d(*variant, **options, backend=backend)  # type: ignore[misc, arg-type]
    torch.testing.assert_close(got, want)
    got.sum().backward()
    assert tensors[0].grad is not None
    assert torch.isfinite(tensors[0].grad).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_mask_means_one_and_bias_is_optional(backend: Backend) -> None:
    (x, offset, mask, weight, bias), options = operands("one group")
    ones = torch.ones_like(mask)
    got = deform_conv2d(x, offset, None, weight, **options, backend=backend)
    torch.testing.assert_close(got, expected([x, offset, ones, weight, bias * 0], options))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_rounds_only_the_result(dtype: torch.dtype, backend: Backend) -> None:
    (x, offset, mask, weight, bias), options = operands("one group")
    half = x.to(dtype)
    got = deform_conv2d(half, offset, mask, weight, bias, **options, backend=backend)
    assert got.dtype == dtype
    want = expected([half.float(), offset, mask, weight, bias], options).to(dtype)
    torch.testing.assert_close(got, want)


def test_threads_do_not_change_the_result() -> None:
    """One thread, two threads, and several Python threads at once."""
    tensors, options = operands("several bands")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = deform_conv2d(*tensors, **options, backend="cpu")  # type: ignore[misc]
        torch.set_num_threads(3)
        got = deform_conv2d(*tensors, **options, backend="cpu")  # type: ignore[misc]
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4)  # sums of 576 terms
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(deform_conv2d, *tensors, **options, backend="cpu")  # type: ignore[arg-type]
            for _ in range(8)
        ]
        for job in jobs:
            torch.testing.assert_close(job.result(), want, rtol=1e-5, atol=1e-4)


def test_custom_operator_is_sound() -> None:
    """Fake kernel, autograd registration and schema, as torch itself checks them."""
    from tsain_core.ops._cpu import deform_conv2d_cpu
    from tsain_core.ops._geometry import Geometry

    (x, offset, mask, weight, _), _ = operands("one group")
    geometry = Geometry((3, 3), (1, 1), (1, 1), (1, 1), (13, 17), 1).flat()
    torch.library.opcheck(deform_conv2d_cpu, (x, offset, mask, weight, geometry))
    tensors = [t.requires_grad_() for t in (x, offset, mask, weight)]
    torch.library.opcheck(deform_conv2d_cpu, (*tensors, geometry))


def test_choosing_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.delenv("TSAIN_DEFORM_CONV", raising=False)
    assert choose_backend(cpu) == "cpu"
    assert choose_backend(torch.device("meta")) == "reference"
    monkeypatch.setenv("TSAIN_DEFORM_CONV", "reference")
    assert choose_backend(cpu) == "reference"
    assert choose_backend(cpu, "torchvision") == "torchvision"
    monkeypatch.setenv("TSAIN_DEFORM_CONV", "")
    assert choose_backend(cpu) == "cpu"
    monkeypatch.setenv("TSAIN_DEFORM_CONV", "nonsense")
    tensors, options = operands("one group")
    with pytest.raises(TsainError, match="nonsense.*TSAIN_DEFORM_CONV"):
        deform_conv2d(*tensors, **options)  # type: ignore[misc]
    with pytest.raises(TsainError, match="does not run on meta.*TSAIN_DEFORM_CONV"):
        choose_backend(torch.device("meta"), "cpu")


def test_the_environment_steers_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from second derivatives, which only the reference has."""
    (x, offset, mask, weight, _), options = operands("groups of one", torch.float64)
    x.requires_grad_()

    def second() -> Tensor:
        out = deform_conv2d(x, offset, mask, weight, **options).square().sum()
        (first,) = torch.autograd.grad(out, x, create_graph=True)
        (result,) = torch.autograd.grad(first.sum(), x)
        return result

    monkeypatch.setenv("TSAIN_DEFORM_CONV", "reference")
    assert second().any()
    monkeypatch.setenv("TSAIN_DEFORM_CONV", "cpu")
    with pytest.raises(RuntimeError):
        second()


def test_shapes_are_computed_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = NetworkSettings(channels=8, groups=2)
    monkeypatch.delenv("TSAIN_DEFORM_CONV", raising=False)
    want = multiply_adds(settings, 16, 16)
    monkeypatch.setenv("TSAIN_DEFORM_CONV", "cpu")
    assert multiply_adds(settings, 16, 16) == want


def test_kernels_run_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only installation, and no home folder."""
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    kernels = (_cpu_kernels.gather_kernel, _cpu_kernels.scatter_kernel)
    for kernel in kernels:
        kernel.cache_clear()
    try:
        tensors, options = operands("groups of one", torch.float64)
        tensors[0].requires_grad_()
        got = deform_conv2d(*tensors, **options, backend="cpu")  # type: ignore[misc]
        torch.testing.assert_close(got, expected(tensors, options))
        got.sum().backward()
    finally:
        for kernel in kernels:
            kernel.cache_clear()


def test_integers_and_empty_batches() -> None:
    (x, *rest), options = operands("one group")
    with pytest.raises(ValueError, match="input is torch.int32; expected floating-point"):
        deform_conv2d(x.int(), *rest, **options)
    empty = [t[:0] for t in (x, *rest[:2])]
    got = deform_conv2d(*empty, *rest[2:], **options, backend="cpu")  # type: ignore[misc]
    assert got.shape == (0, 8, 13, 17)


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        (0, (16, 13, 17), "input is 3-D"),
        (3, (8, 15, 3, 3), "weight is for 15 input channels, input has 16"),
        (1, (2, 17, 13, 17), "offset is .* expected"),
        (1, (2, 18, 12, 17), "offset is .* expected"),
        (1, (2, 18 * 3, 13, 17), "divides the 16 channels"),
        (2, (2, 18, 13, 17), "mask is .* expected"),
        (4, (7,), r"bias is \(7,\); expected \(8,\)"),
    ],
)
def test_wrong_shapes_are_explained(index: int, shape: tuple[int, ...], message: str) -> None:
    tensors, options = operands("one group")
    tensors[index] = torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        deform_conv2d(*tensors, **options)  # type: ignore[misc]


def test_module() -> None:
    layer = DeformConv2d(16, 8)
    assert set(layer.state_dict()) == {"weight", "bias"}
    bound = (9 * 16) ** -0.5
    assert layer.weight.abs().max() <= bound
    assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
    assert layer.bias is not None
    assert not layer.bias.any()
    x = torch.randn(1, 16, 6, 6)
    offset = torch.zeros(1, 18, 6, 6)
    want = torch.nn.functional.conv2d(x, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x, offset), want)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("case", CASES)
def test_cuda_equals_the_reference(case: str) -> None:
    tensors, options = operands(case)
    want = deform_conv2d(*tensors, **options, backend="reference")  # type: ignore[misc]
    got = deform_conv2d(*(t.cuda() for t in tensors), **options)  # type: ignore[misc]
    torch.testing.assert_close(got.cpu(), want, rtol=1e-3, atol=1e-3)
