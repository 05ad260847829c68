"""How much of a slice's fine detail is known: by a model, by the mean, by optical flow, by all.

    python benchmarks/fine_detail.py --data FOLDER --model tsain-base

For the rows of `regimes.py`: the share of the variance of a real slice's detail, above a Gaussian
of 1 pixel, that is in the detail of the computed slice times the best factor; the same for the best
sum of its detail with that of the mean of neighbours, and of that and optical flow. The factors are
fitted to each slice itself, so the shares are upper bounds.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

import numpy as np  # noqa: E402
from common import add_data_option, print_head, print_row  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from regime_rows import Row, rows  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402

from tsain_core.evaluation.leave_one_out import leave_out  # noqa: E402
from tsain_core.inference.models import BaselineModel, SliceModel, open_model  # noqa: E402

_SIGMA = 1.0  # pixels
_EDGE = 8  # pixels, left out
_HELP = (BaselineModel("mean"), BaselineModel("optical-flow"))


def main() -> None:
    """Print a line for each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--model", default="tsain-base")
    parser.add_argument("--triplets", type=int, default=4, help="most triplets a row")
    parser.add_argument("--crop", type=int, default=256, help="side in pixels of what is computed")
    args = parser.parse_args()
    model = open_model(args.model)
    print_head("row", args.model, "and the mean", "and optical flow")
    for row in rows(args.data, (), args.triplets, args.crop):
        print_row(row.name, *(f"{100 * share:.1f} %" for share in known_shares(row, model)))


def known_shares(row: Row, model: SliceModel) -> NDArray[np.float64]:
    """Share of the variance that the model, with the mean, and with optical flow knows; (3,)."""
    methods = [
        list(leave_out(row.stack, [method], row.crop, slices=row.slices))
        for method in (model, *_HELP)
    ]
    shares = []
    for lefts in zip(*methods, strict=True):
        real = _detail(lefts[0].truth)
        known = np.stack([_detail(left.image) for left in lefts], 1)
        shares.append([_explained(real, known[:, :count]) for count in (1, 2, 3)])
    return np.mean(shares, 0)


def _explained(real: NDArray[np.float64], known: NDArray[np.float64]) -> float:
    factors = np.linalg.lstsq(known, real, rcond=None)[0]
    return 1 - float(np.sum((real - known @ factors) ** 2) / np.sum(real**2))


def _detail(image: NDArray[np.float32]) -> NDArray[np.float64]:
    fine = image - gaussian_filter(image.astype(np.float64), _SIGMA)
    return np.asarray(fine[_EDGE:-_EDGE, _EDGE:-_EDGE].ravel())


if __name__ == "__main__":
    main()
