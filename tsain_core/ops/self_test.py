"""Does a backend compute what the reference computes? Tested once on each card, before it is used.

The operator runs on a few hundred random pixels, in every dtype and several numbers of offset
groups, forward and backward, fused, and as a CUDA graph. The answer is kept for each card and
version. A card that fails is served by torchvision's operator.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ..errors import first_line, printable
from ..system.atomic import write_text
from ..system.folders import checks_folder
from . import _cpu, _fused, _reference, _triton
from ._autocast import autocast_off
from ._geometry import Geometry

logger = logging.getLogger(__name__)

_SIZE = (16, 20)
_CHANNELS, _OUTPUTS = 32, 16
_GROUPS = (1, 4, 8)
#: Largest error that rounding explains, relative to the largest value.
_BOUNDS = {torch.float32: 2e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
_KERNEL_FILES = ("_triton_kernels.py", "_triton.py", "_fused.py", "_cpu_kernels.py", "_cpu.py")


@dataclass(frozen=True)
class KernelCheck:
    """What came of one comparison with the reference.

    Attributes
    ----------
    name : str
        Dtype, groups, and what was computed.
    error : float or None
        Largest difference, relative to the largest value; None if nothing was computed.
    bound : float
        What rounding explains.
    failure : str
        First line of the error that it ended with; empty if there was none.
    """

    name: str
    error: float | None
    bound: float
    failure: str = ""

    @property
    def passed(self) -> bool:
        """Whether it computed the right values."""
        return not self.failure and self.error is not None and self.error <= self.bound


@dataclass(frozen=True)
class SelfTest:
    """All comparisons on one device, for one backend."""

    backend: str
    device: str
    software: str
    findings: tuple[KernelCheck, ...]

    @property
    def failed(self) -> tuple[KernelCheck, ...]:
        """Comparisons that went wrong."""
        return tuple(finding for finding in self.findings if not finding.passed)

    def line(self) -> str:
        """The outcome in one line, to be pasted into a report."""
        wrong = self.failed
        outcome = f"{len(self.findings) - len(wrong)} of {len(self.findings)} right"
        if wrong:
            first = wrong[0]
            reason = first.failure or f"error {first.error:.2g}, at most {first.bound:.2g} is right"
            outcome += f"; first wrong: {first.name} ({reason})"
        return f"self-test of {self.backend} on {self.device}, {self.software}: {outcome}"


def run_self_test(device: torch.device, backend: str) -> SelfTest:
    """Compare a backend with the reference, which runs in float64 on the processor.

    Parameters
    ----------
    device : torch.device
    backend : {"cpu", "triton"}

    Returns
    -------
    SelfTest
        Errors of the backend are among its findings; none is raised.
    """
    module: ModuleType = {"cpu": _cpu, "triton": _triton}[backend]
    with torch.random.fork_rng(devices=[]), autocast_off(device):
        torch.manual_seed(0)
        findings = tuple(_findings(device, module))
    return SelfTest(backend, device_name(device), software(), findings)


def trusted(device: torch.device) -> bool:
    """Whether Triton's kernels are right on a device: from memory, or tried now.

    A warning says so once if they are not.
    """
    path = _memory_of(device)
    known = _remembered(path)
    if known is None:
        outcome = run_self_test(device, "triton")
        known = {"passed": not outcome.failed, "line": outcome.line()}
        _remember(path, known, outcome)
    if not known["passed"]:
        logger.warning(
            "The fused kernels are wrong on this card, so torchvision's operator is used, which is "
            "several times slower; please report this line: %s",
            printable(str(known["line"])),
        )
    return bool(known["passed"])


def device_name(device: torch.device) -> str:
    """A card's name and compute capability, or the processor's architecture."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"{torch.cuda.get_device_name(device)} ({major}.{minor})"
    return f"{device.type} ({platform.machine()})"


def software() -> str:
    """Versions that decide about what the kernels become."""
    parts = [f"torch {torch.__version__}", f"CUDA {torch.version.cuda or 'none'}"]
    with contextlib.suppress(PackageNotFoundError):
        parts.append(f"triton {version('triton')}")
    return ", ".join(parts)


def _findings(device: torch.device, module: ModuleType) -> Iterator[KernelCheck]:
    for dtype in _dtypes(device, module):
        for groups in _GROUPS:
            name = f"{str(dtype).removeprefix('torch.')}, {groups} groups"
            tensors, geo = _operands(dtype, groups)
            exact = [t.double() for t in tensors]
            placed = [t.to(device) for t in tensors]
            x, offset, mask, weight, bias = exact
            want = _reference.run(x, offset, mask, weight, bias, geo)
            yield _compare(f"{name}, forward", dtype, want, _forward(module, placed, geo))
            if dtype == torch.float32:
                grads = _gradients(_reference, exact, geo)
                backward = _later(_gradients, module, placed, geo)
                yield _compare(f"{name}, backward", dtype, grads, backward)
            if device.type == "cuda":
                graphed = _later(_in_graph, module, placed, geo)
                yield _compare(f"{name}, graph", dtype, want, graphed)
            if module is _triton and groups > 1:
                yield _fused_finding(f"{name}, fused", dtype, device, groups)


def _dtypes(device: torch.device, module: ModuleType) -> list[torch.dtype]:
    if module is not _triton:
        return [torch.float32]
    # Triton's interpreter multiplies bfloat16 as if it were integers
    return [t for t in _BOUNDS if device.type == "cuda" or t != torch.bfloat16]


def _operands(dtype: torch.dtype, groups: int) -> tuple[list[Tensor], Geometry]:
    """Input, offsets, mask, weight and bias, on the processor; features in `dtype`."""
    height, width = _SIZE
    x = torch.randn(1, _CHANNELS, height, width).to(dtype)
    offset = 3 * torch.randn(1, 18 * groups, height, width)
    mask = torch.rand(1, 9 * groups, height, width)
    weight = torch.randn(_OUTPUTS, _CHANNELS, 3, 3).to(dtype).float() / 17
    geo = Geometry((3, 3), (1, 1), (1, 1), (1, 1), _SIZE, groups)
    return [x, offset, mask, weight, torch.randn(_OUTPUTS)], geo


def _later(function: Callable[..., Tensor], *arguments: Any) -> Callable[[], Tensor]:
    return lambda: function(*arguments)


def _forward(module: ModuleType, tensors: list[Tensor], geo: Geometry) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.no_grad():
            return module.run(*tensors, geo)  # type: ignore[no-any-return]

    return run


def _gradients(module: ModuleType, tensors: list[Tensor], geo: Geometry) -> Tensor:
    """Gradients of all operands in one row, each by its largest value."""
    with torch.enable_grad():
        leaves = [t.detach().clone().requires_grad_() for t in tensors]
        out = module.run(*leaves, geo)
        steps = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).reshape(out.shape)
        grads = torch.autograd.grad(out, leaves, steps.to(out))
    return torch.cat([(g.double() / g.double().abs().max()).flatten().cpu() for g in grads])


def _in_graph(module: ModuleType, tensors: list[Tensor], geo: Geometry) -> Tensor:
    run = _forward(module, tensors, geo)
    run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run()
    out.zero_()
    graph.replay()
    torch.cuda.synchronize()
    return out


def _fused_finding(name: str, dtype: torch.dtype, device: torch.device, groups: int) -> KernelCheck:
    """The kernel that predicts its own offsets, against two steps of the reference."""
    x, guide = (torch.randn(1, _CHANNELS, *_SIZE).to(dtype) for _ in range(2))
    rows = 27 * groups
    predict = (torch.randn(rows, _CHANNELS, 3, 3) / 17).to(dtype).float(), torch.randn(rows)
    weight = torch.randn(_OUTPUTS, _CHANNELS, 3, 3).to(dtype).float() / 17
    operands = [x, guide, *predict, weight, torch.randn(_OUTPUTS)]

    def exact() -> Tensor:
        a, b, *others = [t.double() for t in operands]
        points = torch.nn.functional.conv2d(b, others[0], others[1], padding=1)
        offset, mask = points.split((18 * groups, 9 * groups), 1)
        geo = Geometry((3, 3), (1, 1), (1, 1), (1, 1), _SIZE, groups)
        return _reference.run(a, offset, mask.sigmoid(), others[2], others[3], geo)

    def fused() -> Tensor:
        with torch.no_grad():
            placed = [t.to(device) for t in operands]
            return _fused.adaptive_sampling(*placed, groups)  # type: ignore[no-any-return]

    # offsets that are predicted in half precision are off by a little
    return _compare(name, dtype, exact(), fused, slack=4)


def _compare(
    name: str, dtype: torch.dtype, want: Tensor, compute: Callable[[], Tensor], slack: float = 1
) -> KernelCheck:
    bound = slack * _BOUNDS[dtype]
    try:
        got = compute().double().cpu()
        error = float((got - want).abs().max() / want.abs().max())
        if got.isnan().any():
            return KernelCheck(name, None, bound, "not a number")
    except Exception as failure:  # compilers and drivers raise errors of many kinds
        return KernelCheck(name, None, bound, first_line(failure))
    return KernelCheck(name, error, bound)


def _memory_of(device: torch.device) -> Path:
    """File with the outcome for this card, these versions and these kernels."""
    source = hashlib.sha256()
    for name in _KERNEL_FILES:
        source.update(Path(__file__).with_name(name).read_bytes())
    driver = torch.version.cuda or ""
    text = f"{device_name(device)} {software()} {driver} {source.hexdigest()}"
    return checks_folder() / f"kernels-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _remembered(path: Path) -> dict[str, Any] | None:
    try:
        if not path.is_file():
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
        return values if isinstance(values["passed"], bool) and "line" in values else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is tried again


def _remember(path: Path, known: dict[str, Any], outcome: SelfTest) -> None:
    """Keep the outcome; a home that cannot be written to costs a self-test in each process."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        findings = [asdict(finding) for finding in outcome.findings]
        write_text(path, json.dumps({**known, "findings": findings}, indent=1))
