"""How networks are run: precision, fused sampling, compilation, CUDA graphs."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tsain_core.inference.models._execution import Execution, half_copy
from tsain_core.network import TSAIN, AdaptiveSampling, Sampling
from tsain_core.ops import _cpu, _fused, sample_fused
from tsain_core.system import memory as _memory

CPU = torch.device("cpu")


def images(height: int = 40, width: int = 24) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    before, after = torch.rand(2, 1, 1, height, width)
    return before, after


def run(execution: Execution, before: Tensor, after: Tensor) -> Tensor:
    return execution.between(execution.encode(before), execution.encode(after))


def test_features_and_the_rest_are_the_network(stirred_network: TSAIN) -> None:
    before, after = images()
    execution = Execution(stirred_network, CPU, "fp32")
    with torch.no_grad():  # not inference mode: by the separate operators
        want = stirred_network(before, after) - (before + after) / 2
    torch.testing.assert_close(run(execution, before, after), want, rtol=1e-4, atol=1e-5)


def test_half_precision_spares_what_predicts_offsets(stirred_network: TSAIN) -> None:
    half = half_copy(stirred_network)
    for module, original in zip(half.modules(), stirred_network.modules(), strict=True):
        if isinstance(module, AdaptiveSampling):
            assert isinstance(original, AdaptiveSampling)
            assert torch.equal(module.offset_conv.weight, original.offset_conv.weight)
    assert half.reconstruction.last.weight.dtype == torch.bfloat16
    assert all(p.dtype == torch.float32 for p in stirred_network.parameters())
    before, after = images()
    got = run(Execution(stirred_network, CPU, "bf16"), before, after)
    want = run(Execution(stirred_network, CPU, "fp32"), before, after)
    assert got.dtype == torch.float32
    assert 0 < (got - want).abs().max() < 0.02


@pytest.mark.slow
def test_compiled(stirred_network: TSAIN) -> None:
    before, after = images()
    want = run(Execution(stirred_network, CPU, "fp32"), before, after)
    got = run(Execution(stirred_network, CPU, "fp32", compile=True), before, after)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def layer(groups: int, channels: int) -> tuple[AdaptiveSampling, Tensor, Tensor]:
    torch.manual_seed(1)
    sampling = AdaptiveSampling(channels, groups, 1)
    torch.nn.init.normal_(sampling.offset_conv.weight, std=0.2)
    torch.nn.init.normal_(sampling.offset_conv.bias)  # type: ignore[arg-type]
    torch.nn.init.normal_(sampling.deform.bias)  # type: ignore[arg-type]
    x, guide = torch.randn(2, 2, channels, 13, 21)
    return sampling, x, guide


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("rows", [1, 4, 5, 100])
def test_bands_that_are_sampled_at_once(
    groups: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their height, first and last ones at the image's border included."""
    sampling, x, guide = layer(groups, 16)
    monkeypatch.setattr(_cpu, "_BAND_BYTES", rows * 21 * 9 * 16 * 4)
    with torch.no_grad():
        want = sampling(x, guide)
    with torch.inference_mode():
        got = sample_fused(x, guide, sampling.offset_conv, sampling.deform)
        assert got is not None
        last = [t.to(memory_format=torch.channels_last) for t in (x, guide)]
        again = sampling(*last)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(again, want, rtol=1e-4, atol=1e-5)


def test_recorded_points_and_gradients_take_the_separate_way(
    stirred_network: TSAIN, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    whole = _cpu.adaptive_sampling
    monkeypatch.setattr(_fused._cpu, "adaptive_sampling", lambda *a: calls.append(1) or whole(*a))
    before, after = images()
    network = copy.deepcopy(stirred_network)
    network(before, after).sum().backward()
    with torch.inference_mode():
        network(before, after, Sampling())
        assert not calls
        network(before, after)
    assert len(calls) == sum(isinstance(m, AdaptiveSampling) for m in network.modules())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_graphs_replay_the_network(stirred_network: TSAIN, precision: str) -> None:
    """For several shapes, and again after a reset."""
    device = torch.device("cuda")
    network = copy.deepcopy(stirred_network).to(device)
    execution = Execution(network, device, precision)  # type: ignore[arg-type]
    bound = 1e-3 if precision == "fp32" else 0.02
    for size in ((40, 24), (32, 32), (40, 24)):
        before, after = images(*size)
        want = run(Execution(stirred_network, CPU, "fp32"), before, after)
        for _ in range(2):
            got = run(execution, before.to(device), after.to(device))
            assert (got.cpu() - want).abs().max() < bound
        execution.reset()


@pytest.mark.skipif(_memory._libc() is None, reason="no glibc, no allocator to be told")
def test_freed_memory_is_kept_and_given_back() -> None:
    """Memory is not requested again; in a process of its own, for it changes it."""
    code = """
import resource
import numpy as np
from pathlib import Path
from tsain_core.system.memory import keep_freed_memory, return_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.ones(2**24, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

usual = faults()
keep_freed_memory()
faults()
assert faults() < usual / 4
kept = resident()
return_freed_memory()
assert resident() < kept - 2**13  # of 2**14 pages
"""
    subprocess.run([sys.executable, "-c", code], check=True)


_SETTINGS = """
import numpy as np, torch
import tsain_core as tsain
from tsain_core.system import memory as _memory
from tsain_core.sample_data.phantom import em_phantom

calls = []

class Library:
    def mallopt(self, name, value):
        calls.append((name, value))
    def malloc_trim(self, size):
        pass

_memory._libc = Library
torch.set_num_threads(2)
stack = em_phantom((3, 64, 64))
model = tsain.open_model("tsain-lite")
assert not calls, "opening a model"
seen = []

def progress(share):
    seen.append(dict(calls)[_memory._M_MMAP_MAX])
    assert torch.get_num_threads() == 2

tsain.interpolate(stack, model=model, progress=progress)
assert set(seen[:-1]) == {0}, seen  # kept while it computes
usual = {_memory._M_MMAP_MAX: 65536, _memory._M_TRIM_THRESHOLD: 131072}
assert dict(calls) == usual, calls

import tifffile
from tsain_core.blockwise import InterpolationRequest, interpolate_blockwise
tifffile.imwrite("stack.tif", stack, photometric="minisblack")
for threads in (1, None):
    output = f"out{threads}.zarr"
    spec = InterpolationRequest("stack.tif", output, model="tsain-lite", threads=threads)
    for event in interpolate_blockwise(spec):
        pass
    assert torch.get_num_threads() == 2, "threads are left as they were"
    assert dict(calls) == usual, calls
"""


def test_settings_of_the_process_are_given_back(tmp_path: Path) -> None:
    """napari's own process: opening a model changes nothing, a run puts all of it back."""
    command = [sys.executable, "-c", _SETTINGS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
