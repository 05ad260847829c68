"""How far real slices lie beside their neighbours, and what that costs every method.

    python benchmarks/displaced.py --input STACK [STACK ...] [--models tsain-lite] [--binning 4]

In a stack that was registered slice by slice, a real slice can be displaced against both its
neighbours. No method can know that from the neighbours; the more contrast it dares, the more it
loses. Each real slice is shifted by whole pixels to where it fits the mean of its neighbours best
(phase correlation of both, smoothed), and every method is scored on what both cover: with the slice
where it lies (*as it is*), and shifted (*put back*). A shift counts where it raises the correlation
by 0.05.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from common import print_head, print_row  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from regime_rows import binned  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402
from skimage.filters import window  # noqa: E402
from skimage.registration import phase_cross_correlation  # noqa: E402

from tsain_core.evaluation.leave_one_out import leave_out, spread_slices  # noqa: E402
from tsain_core.evaluation.metrics import Scores, mean_scores, score  # noqa: E402
from tsain_core.inference.models import BASELINES, open_model  # noqa: E402
from tsain_core.volumes import open_volume  # noqa: E402

_SMOOTH = 2.0  # sigma in pixels, before a shift is looked for
_GAIN = 0.05  # of the correlation, that makes a shift count
_LARGEST = 0.15  # of a side

Image = NDArray[np.float32]
Shift = tuple[int, int]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, nargs="+", required=True, help="stacks, uint8")
    parser.add_argument("--models", nargs="*", default=["tsain-lite"])
    parser.add_argument("--binning", type=int, default=1)
    parser.add_argument("--triplets", type=int, default=1000, help="most triplets of a stack")
    parser.add_argument("--crop", type=int, default=512)
    args = parser.parse_args()
    print_head("stack", "method", "as it is: PSNR", "structure", "put back: PSNR", "structure")
    for path in args.input:
        stack = binned(np.asarray(open_volume(path).data), args.binning)
        shifts, table = measure(stack, [*args.models, *BASELINES], args.crop, args.triplets)
        far = [float(np.hypot(*shift)) for shift in shifts]
        for name, (lying, shifted) in table.items():
            cells = (f"{v:.2f}" for s in (lying, shifted) for v in (s.psnr, s.structure))
            print_row(path.stem, name, *cells)
        moved = [d for d in far if d]
        print(
            f"\n{path.stem}: {len(moved)} of {len(far)} slices displaced, by "
            f"{np.median(moved) if moved else 0:.0f} px (median), {max(far):.0f} at most\n"
        )


def measure(
    stack: NDArray[np.uint8], names: Sequence[str], crop: int, triplets: int
) -> tuple[list[Shift], dict[str, tuple[Scores, Scores]]]:
    """Shift of each real slice; model -> mean scores (as it is, put back)."""
    models = [open_model(name) for name in names]
    scores: dict[str, list[tuple[Scores, Scores]]] = {model.name: [] for model in models}
    shifts: dict[int, Shift] = {}
    chosen = spread_slices(len(stack), triplets)
    mean = open_model("mean")
    for left in leave_out(stack, [mean], crop, slices=chosen):
        shifts[left.z] = find_shift(left.image, left.truth)
    for left in leave_out(stack, models, crop, slices=chosen):
        shift = shifts[left.z]
        lying = overlap(left.image, left.truth, shift, moved=False)
        shifted = overlap(left.image, left.truth, shift, moved=True)
        scores[left.model].append((score(*lying), score(*shifted)))
    means = {
        name: (mean_scores([a for a, _ in pairs]), mean_scores([b for _, b in pairs]))
        for name, pairs in scores.items()
    }
    return list(shifts.values()), means


def find_shift(reference: Image, image: Image) -> Shift:
    """Whole pixels (y, x) by which `image` must move to fit; 0, 0 where that gains little."""
    a, b = (gaussian_filter(i, _SMOOTH) for i in (reference, image))
    taper = window("hann", a.shape)
    parts = [(i - i.mean()) * taper for i in (a, b)]
    found, _, _ = phase_cross_correlation(*parts, normalization=None)
    shift = int(found[0]), int(found[1])
    if max(abs(s) / n for s, n in zip(shift, a.shape, strict=True)) > _LARGEST:
        return 0, 0
    gain = _correlation(*overlap(a, b, shift, moved=True)) - _correlation(a, b)
    return shift if gain > _GAIN else (0, 0)


def overlap(image: Image, truth: Image, shift: Shift, moved: bool) -> tuple[Image, Image]:
    """The same part of the computed image, with the real one there, or moved by `shift` to it."""
    spans, others = [], []
    for side, length in zip(shift, image.shape, strict=True):
        start, stop = max(0, side), min(length, length + side)
        spans.append(slice(start, stop))
        others.append(slice(start - side, stop - side) if moved else slice(start, stop))
    return image[tuple(spans)], truth[tuple(others)]


def _correlation(a: Image, b: Image) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


if __name__ == "__main__":
    main()
