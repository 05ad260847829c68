"""The self-test of the kernels: right ones pass, a wrong one is caught and left out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tsain_core.cli import main
from tsain_core.ops import _cpu, _triton, choose_backend, deform_conv, deform_conv2d, self_test
from tsain_core.ops.self_test import KernelCheck, SelfTest, run_self_test, trusted

CPU = torch.device("cpu")
needs_interpreter = pytest.mark.skipif(
    not _triton.available(CPU), reason="needs Triton, in its interpreter"
)


@pytest.fixture
def own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing is remembered yet, and Triton's kernels are the first choice."""
    monkeypatch.setenv("TSAIN_HOME", str(tmp_path))
    monkeypatch.setattr(_cpu, "available", lambda device: False)
    monkeypatch.delenv("TSAIN_DEFORM_CONV", raising=False)
    deform_conv._fastest_there.cache_clear()
    yield tmp_path / "checks"
    deform_conv._fastest_there.cache_clear()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter is slow: fewer pixels and groups."""
    monkeypatch.setattr(self_test, "_SIZE", (6, 8))
    monkeypatch.setattr(self_test, "_GROUPS", (1, 4))
    monkeypatch.setattr(self_test, "_CHANNELS", 16)


class Wrong:
    """A kernel that runs, and then spoils what it wrote."""

    def __init__(self, kernel: Any, spoil: Callable[[torch.Tensor], object]) -> None:
        self.kernel, self.spoil = kernel, spoil

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def launch(*arguments: Any, **options: Any) -> None:
            self.kernel[grid](*arguments, **options)
            out = [a for a in arguments if isinstance(a, torch.Tensor) and a.ndim == 4][-1]
            self.spoil(out)

        return launch


def raising(*arguments: Any) -> None:
    raise RuntimeError("ptxas exited with code 1\nand more lines")


SPOILS = {
    "a pixel": lambda out: out[0, 0, 0].add_(0.5),
    "not a number": lambda out: out[..., 0].fill_(float("nan")),
    "compiler": raising,
}


def test_the_cpu_operator_is_right() -> None:
    outcome = run_self_test(CPU, "cpu")
    assert not outcome.failed and len(outcome.findings) == 6
    assert outcome.line().endswith("6 of 6 right")


@needs_interpreter
def test_right_kernels_pass_and_are_remembered(
    own_memory: Path, small: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = []

    def kept(device: torch.device, backend: str) -> SelfTest:
        outcomes.append(run_self_test(device, backend))
        return outcomes[-1]

    monkeypatch.setattr(self_test, "run_self_test", kept)
    assert choose_backend(CPU) == "triton" and not caplog.records
    (outcome,) = outcomes
    names = " ".join(finding.name for finding in outcome.findings)
    assert not outcome.failed, outcome.line()
    assert all(w in names for w in ("float32", "float16", "1 groups", "4 groups", "backward"))
    assert "fused" in names
    monkeypatch.setattr(self_test, "run_self_test", raising)
    deform_conv._fastest_there.cache_clear()
    assert choose_backend(CPU) == "triton"  # by memory
    (file,) = own_memory.glob("kernels-*.json")
    file.write_text("{")
    with pytest.raises(RuntimeError, match="ptxas"):
        trusted(CPU)  # a damaged memory is none


@needs_interpreter
@pytest.mark.parametrize("kind", list(SPOILS))
def test_a_wrong_kernel_is_left_out_with_one_warning(
    kind: str,
    own_memory: Path,
    small: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(self_test, "_GROUPS", (1,))
    kernels = _triton.kernels()
    monkeypatch.setattr(kernels, "forward_kernel", Wrong(kernels.forward_kernel, SPOILS[kind]))
    x, weight = torch.randn(1, 16, 9, 9), torch.randn(8, 16, 3, 3)
    operands = x, torch.randn(1, 18, 9, 9), torch.rand(1, 9, 9, 9), weight
    with caplog.at_level(logging.WARNING):
        got = [deform_conv2d(*operands, padding=1) for _ in range(3)]
    want = deform_conv2d(*operands, padding=1, backend="reference")
    assert choose_backend(CPU) == "torchvision"
    torch.testing.assert_close(got[2], want, rtol=1e-4, atol=1e-4)
    (record,) = caplog.records
    text = record.getMessage()
    assert (
        "self-test of triton on cpu" in text and "first wrong: float32, 1 groups, forward" in text
    )
    assert ("ptxas exited" in text) == (kind == "compiler") and text.isprintable()
    (file,) = own_memory.glob("kernels-*.json")
    values = json.loads(file.read_text())
    assert values["passed"] is False and values["line"] in text
    deform_conv._fastest_there.cache_clear()
    monkeypatch.undo()  # the kernel is right again, and the outcome of this version stays
    monkeypatch.setenv("TSAIN_HOME", str(own_memory.parent))
    assert not trusted(CPU)


@needs_interpreter
def test_other_versions_are_tried_again_and_a_locked_home_is_no_failure(
    own_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def counted(device: torch.device, backend: str) -> SelfTest:
        tried.append(self_test.software())
        return SelfTest(backend, "card", "software", (KernelCheck("a", 0.0, 1.0),))

    monkeypatch.setattr(self_test, "run_self_test", counted)
    assert trusted(CPU) and trusted(CPU) and len(tried) == 1
    monkeypatch.setattr(self_test, "software", lambda: "torch 99")
    assert trusted(CPU) and tried[1] == "torch 99"
    own_memory.rename(own_memory.with_name("before"))
    own_memory.write_text("no folder")
    assert trusted(CPU) and trusted(CPU) and len(tried) == 4


def test_doctor_prints_what_a_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["self-test"].endswith("6 of 6 right") and found["operator"] == "cpu"
    assert found["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert found["speed"].startswith("tsain-lite: ")
    assert {"system", "python", "processor", "memory", "device"} <= set(found)
