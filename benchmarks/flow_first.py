"""Would it help to bring the structures of both slices together before the model sees them?

    python benchmarks/flow_first.py --data FOLDER --model tsain-lite

Each slice of the validation stacks is computed from its neighbours as they are, and from neighbours
that were warped to it along their share of the optical flow between them (DIS, as the baseline
does; flow found under a Gaussian of 2 pixels, and smoothed). So much is what towers could gain
whose offsets follow the flow. Up to four triplets a row, crops of 256 pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from fractions import Fraction

import numpy as np
from common import add_data_option, print_head, print_row
from numpy.typing import NDArray
from regime_rows import rows
from scipy.ndimage import gaussian_filter

from tsain_core.evaluation.leave_one_out import evaluate, mean_by_model
from tsain_core.inference.models import Image, Keys, SliceModel, TileDone, open_model
from tsain_core.inference.models.baselines import dis_flow, warped
from tsain_core.inference.wrapped_model import WrappedModel

_BLUR = 2.0  # pixels
_SMOOTHNESS = (0.0, 4.0, 16.0)  # pixels


class FlowFirst(WrappedModel):
    """A model whose pairs are warped along optical flow first.

    Parameters
    ----------
    model : SliceModel
    smoothness : float
        Deviation of a Gaussian over the flow, in pixels.
    """

    tiled = None  # type: ignore[assignment]
    pointwise = False  # type: ignore[assignment]

    def __init__(self, model: SliceModel, smoothness: float) -> None:
        super().__init__(model)
        self._smoothness = smoothness

    @property
    def name(self) -> str:
        """See `SliceModel.name`."""
        return f"flow smoothed by {self._smoothness:g} px first"

    def between(
        self,
        before: Image,
        after: Image,
        fraction: Fraction = Fraction(1, 2),
        keys: Keys | None = None,
    ) -> Generator[TileDone, None, Image]:
        """See `SliceModel.between`."""
        forward, backward = self._flow(before, after), self._flow(after, before)
        share = float(fraction)
        pair = warped(before, backward, share), warped(after, forward, 1 - share)
        return (yield from self._model.between(*pair, fraction))

    def _flow(self, source: Image, target: Image) -> NDArray[np.float32]:
        first, second = (gaussian_filter(image, _BLUR) for image in (source, target))
        flow = dis_flow(first, second, "MEDIUM")
        sigma = (self._smoothness, self._smoothness, 0)
        return gaussian_filter(flow, sigma) if self._smoothness else flow


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--model", default="tsain-lite")
    args = parser.parse_args()
    model = open_model(args.model)
    models = [model, *(FlowFirst(model, s) for s in _SMOOTHNESS)]
    print("PSNR dB / structure dB / SSIM\n")
    print_head("stack", *(m.name for m in models))
    for row in rows(args.data, (), 4, 256):
        means = mean_by_model(evaluate(row.stack, models, row.crop, slices=row.slices))
        cells = (means[m.name] for m in models)
        print_row(row.name, *(f"{s.psnr:.2f} / {s.structure:.2f} / {s.ssim:.3f}" for s in cells))


if __name__ == "__main__":
    main()
