"""Triton beside another LLVM: software OpenGL has one, and Triton crashes if it takes that."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def load_triton() -> None:
    """Import Triton, if it is installed, so that it uses the LLVM that it carries.

    To be called before anything that imports Triton: its kernels, torch.compile, the optimizers of
    torch, and torchvision.

    Notes
    -----
    Mesa draws without a graphics card (VNC, virtual machines) through libLLVM, whose symbols are
    then known to all libraries of the process. Triton's own LLVM has the same ones in another
    version. Bound to those of Mesa, Triton ends the process with a segmentation fault.
    """
    deep = getattr(os, "RTLD_DEEPBIND", 0)
    flags = sys.getdlopenflags() if hasattr(sys, "getdlopenflags") else 0
    clash = deep and "triton" not in sys.modules and _has_llvm()
    try:
        if clash:
            sys.setdlopenflags(os.RTLD_NOW | deep)
        with suppress(ImportError, RuntimeError):  # torch works without it
            import triton  # noqa: F401
    finally:
        if clash:
            sys.setdlopenflags(flags)


def _has_llvm() -> bool:
    """Whether another library has brought its LLVM into this process."""
    try:
        return "libLLVM" in Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return False
