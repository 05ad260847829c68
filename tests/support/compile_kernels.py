"""Compile the Triton kernels for a CUDA card that need not be there.

`python tests/support/compile_kernels.py 90` prints a line for each launch of each kernel: its name,
dtype, groups, launch, registers and bytes of spilled registers, as the assembler reports them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tsain_core.ops import _fused, _triton, _triton_kernels
from tsain_core.ops._geometry import Geometry
from tsain_core.ops._tuning import Launch

FEATURES = ("x", "weight", "grad", "guide", "offset_weight", "out")
POINTERS = (*FEATURES, "offset", "mask", "bias", "offset_bias", "grad_x", "grad_offset")
POINTERS += ("grad_mask", "partial", "scale")
ALIGNED = (*POINTERS, "height", "width", "out_height", "out_width", "so_n", "so_y", "sm_n", "sm_y")


def compile_kernel(kernel: Any, sizes: dict[str, Any], dtype: str, how: Launch, sm: int) -> str:
    """PTX of a kernel for compute capability `sm`."""
    constants = sizes | {"BM": how.pixels}
    names = kernel.arg_names
    constants |= {n: 1 for n in ("so_c", "sm_c") if n in names}  # channels-last
    signature = {}
    for name in names:
        if name in constants:
            signature[name] = "constexpr"
        elif name in POINTERS:
            signature[name] = "*" + (dtype if name in FEATURES else "fp32")
        else:
            signature[name] = "i32"
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(names.index(n),): v for n, v in constants.items()},
        attrs={(names.index(n),): [["tt.divisibility", 16]] for n in ALIGNED if n in names},
    )
    options = {"num_warps": how.warps, "num_stages": how.stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", sm, 32), options=options)
    return str(compiled.asm["ptx"])


def registers(ptx: str) -> tuple[int, int]:
    """Registers a thread and bytes of spill stores."""
    target = re.search(r"\.target (\w+)", ptx)
    assert target is not None
    tools = [knobs.nvidia.ptxas.path, *Path(knobs.nvidia.ptxas.path).parent.glob("ptxas*")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.ptx")
        file.write_text(ptx)
        for tool in tools:  # Triton ships one assembler for each range of PTX versions
            command = [tool, "-v", f"--gpu-name={target[1]}", file, "-o", Path(folder, "cubin")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                report = done.stdout + done.stderr
                used, spilled = (
                    re.search(p, report) for p in (r"Used (\d+) reg", r"(\d+) bytes spill stores")
                )
                assert used is not None and spilled is not None
                return int(used[1]), int(spilled[1])
    raise RuntimeError(done.stderr)


def main() -> None:
    sm = int(sys.argv[1])
    kernels = _triton_kernels
    for dtype in ("bf16", "fp32"):
        for groups in (1, 8):
            geo = Geometry((3, 3), (1, 1), (1, 1), (1, 1), (512, 512), groups)
            precision = "ieee" if dtype == "bf16" else "tf32x3"
            sizes = _triton._sizes(64, 64, geo) | {"PRECISION": precision}
            cases = [
                (kernels.forward_kernel, _triton._FORWARD[:2], {"HAS_BIAS": True}),
                (kernels.backward_kernel, _triton._BACKWARD[:2], {"FIXED": False}),
                (kernels.weight_kernel, _triton._WEIGHT[:2], {}),
            ]
            if groups == 8:
                fused = {"C_GUIDE": 64, "BI": 64}
                cases.append((kernels.fused_kernel, _fused._LAUNCHES[:2], fused))
            for kernel, launches, extra in cases:
                known = {n: v for n, v in (sizes | extra).items() if n in kernel.arg_names}
                for how in launches:
                    found = registers(compile_kernel(kernel, known, dtype, how, sm))
                    name = kernel.fn.__name__
                    print(name, dtype, groups, how.pixels, how.warps, *found, flush=True)


if __name__ == "__main__":
    main()
