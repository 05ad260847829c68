"""Triton where software OpenGL has brought another LLVM into the process, as under VNC."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytest.importorskip("qtpy")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or find_spec("triton") is None, reason="Triton is not installed"
)

_SOFTWARE_OPENGL = """
import os, sys, torch
from qtpy.QtWidgets import QApplication
app = QApplication([])
from qtpy.QtGui import QOffscreenSurface, QOpenGLContext
surface = QOffscreenSurface()
surface.create()
context = QOpenGLContext()
assert context.create() and context.makeCurrent(surface)
has_llvm = "libLLVM" in open("/proc/self/maps").read()
assert "triton" not in sys.modules
"""
_USES = {
    "kernels": "from tsain_core.ops import _triton; _triton.kernels()",
    "torchvision": """
from tsain_core.ops import _torchvision; _torchvision.available(torch.device("cpu"))""",
    "training": """
from tsain_core.network import TSAIN, NetworkSettings
from tsain_core.training.loop import Trainer
from tsain_core.training.settings import TrainingSettings
network = TSAIN(NetworkSettings(channels=8, image_channels=1, feature_blocks=1,
    reconstruction_blocks=1, rsabs=1, drbs=1, groups=2, unshuffle=2, residual=True))
Trainer(network, None, TrainingSettings())""",
}


@pytest.mark.parametrize("use", _USES)
def test_triton_loads_after_software_opengl(use: str) -> None:
    code = f"{_SOFTWARE_OPENGL}\n{_USES[use]}\nprint(has_llvm, 'triton' in sys.modules)"
    environment = {**os.environ, "LIBGL_ALWAYS_SOFTWARE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    has_llvm, loaded = done.stdout.split()
    assert loaded == "True"
    if has_llvm == "False":
        pytest.skip("this machine's OpenGL has no LLVM")
