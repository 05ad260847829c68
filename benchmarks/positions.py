"""Slices at 1/8 to 7/8 of a gap: computed directly, or reached by halving the gap.

    python benchmarks/positions.py --input STACK --gap 8 [--fractions 1/8 1/4 1/2] [--model FILE]

Two slices of a stack so many slices apart are taken for neighbours, and the real ones between them
for the truth: of an isotropic stack at a gap of 8, of sections at a gap of 3 (1/3 and 2/3, which
halving reaches at 3/8 and 5/8 only). PSNR, structure and SSIM of both ways, beside the weighted
mean of the two slices and the nearer of them.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from fractions import Fraction  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from common import print_head, print_row  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from tsain_core.evaluation.figures import middle  # noqa: E402
from tsain_core.evaluation.metrics import Scores, mean_scores, score  # noqa: E402
from tsain_core.inference.intensity import estimate_range  # noqa: E402
from tsain_core.inference.models import SliceModel, open_model, run_to_end  # noqa: E402
from tsain_core.interpolation.schedule import halvings, reachable_fraction  # noqa: E402
from tsain_core.volumes import open_volume  # noqa: E402

Image = NDArray[np.float32]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, required=True, help="a stack, uint8")
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--gap", type=int, default=8, help="slices between the two that are given")
    parser.add_argument("--first", type=int, default=0, help="slice to begin with")
    parser.add_argument("--places", type=int, default=4, help="pairs of slices")
    parser.add_argument("--fractions", type=Fraction, nargs="+", help="default: all of the gap")
    args = parser.parse_args()
    model = open_model(args.model)
    stack = open_volume(args.input)
    grey = estimate_range(stack, model.scaling)
    fractions = args.fractions or [Fraction(i, args.gap) for i in range(1, args.gap)]
    starts = np.linspace(args.first, stack.shape[0] - args.gap - 1, args.places).astype(int)
    print_head("fraction", "direct: PSNR / structure / SSIM", "halved", "weighted mean", "nearer")
    for fraction in fractions:
        offset = fraction * args.gap
        if offset.denominator != 1:
            parser.error(f"{fraction} of a gap of {args.gap} is no slice")
        scores: list[list[Scores]] = []
        for z in starts:
            a, truth, b = (
                np.ascontiguousarray(middle(np.asarray(stack[int(z + i)]))).astype(np.float32)
                for i in (0, offset, args.gap)
            )
            before, after = grey.to_unit(a), grey.to_unit(b)
            images = [
                run_to_end(model.between(before, after, fraction)) if model.any_position else None,
                halved(model, before, after, fraction),
                before + np.float32(float(fraction)) * (after - before),
                before if fraction <= Fraction(1, 2) else after,
            ]
            scores.append(
                [score(grey.from_unit(i, np.float32), truth) for i in images if i is not None]
            )
        means = [mean_scores(list(column)) for column in zip(*scores, strict=True)]
        cells = [f"{s.psnr:.2f} / {s.structure:.2f} / {s.ssim:.3f}" for s in means]
        print_row(fraction, *([] if model.any_position else [""]), *cells)


def halved(model: SliceModel, before: Image, after: Image, fraction: Fraction) -> Image:
    """The slice that halving the gap gives, at the nearest place that it reaches."""
    place = reachable_fraction(fraction, 2)
    known = {Fraction(0): before, Fraction(1): after}
    for low, middle_, high in halvings(place):
        if middle_ not in known:
            known[middle_] = run_to_end(model.between(known[low], known[high]))
    return known[place]


if __name__ == "__main__":
    main()
