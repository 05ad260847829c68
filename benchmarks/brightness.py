"""What the brightness of a computed slice costs: the pair's, that of more slices, and the true one.

    python benchmarks/brightness.py --input STACK [STACK ...] [--models tsain-lite mean]

Brightness of a section is an accident of its preparation. Slices are computed as they come; with
the brightness of as many slices on each side as does best on this stack, found without the scored
slice (`--mix` does so); and with the mean of the real slice, which nothing can know beforehand.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from common import print_head, print_row  # noqa: E402

from tsain_core.evaluation.leave_one_out import (  # noqa: E402
    CROP,
    LeftOut,
    leave_out,
    spread_slices,
)
from tsain_core.evaluation.metrics import Scores, mean_scores, score  # noqa: E402
from tsain_core.inference.brightness import choose_slices  # noqa: E402
from tsain_core.inference.models import open_model  # noqa: E402
from tsain_core.stack_check.mixing import StackBrightness, brightness_of  # noqa: E402
from tsain_core.volumes import open_volume  # noqa: E402


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, nargs="+", required=True, help="stacks, uint8")
    parser.add_argument("--models", nargs="+", default=["tsain-lite", "mean"])
    parser.add_argument("--triplets", type=int, default=64, help="most of each stack")
    args = parser.parse_args()
    print_head("stack", "model", "slices", "the pair: PSNR / structure / SSIM", "more", "the true")
    for path in args.input:
        stack = np.asarray(open_volume(path).data)
        slices = spread_slices(len(stack), args.triplets)
        brightness = brightness_of(stack, slices)
        count = choose_slices(brightness.levels)
        for name in args.models:
            scores = [
                ways(left, brightness)
                for left in leave_out(stack, [open_model(name)], CROP, slices=slices)
            ]
            cells = (in_words(mean_scores(column)) for column in zip(*scores, strict=True))
            print_row(path.stem, name, count, *cells)


def ways(left: LeftOut, brightness: StackBrightness) -> tuple[Scores, Scores, Scores]:
    """Scores of a slice with each brightness."""
    error = (left.truth - left.image)[left.valid].mean()
    shifts = (0.0, brightness.shift(left.z), error)
    one, more, true = (
        score(left.image + np.float32(shift), left.truth, left.valid) for shift in shifts
    )
    return one, more, true


def in_words(s: Scores) -> str:
    """PSNR, structure and SSIM."""
    return f"{s.psnr:.2f} / {s.structure:.2f} / {s.ssim:.3f}"


if __name__ == "__main__":
    main()
