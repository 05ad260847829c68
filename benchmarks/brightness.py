"""What the brightness of a computed slice costs: as it comes, evened by the stack, and at best.

    python benchmarks/brightness.py --input STACK [STACK ...] [--model tsain-lite] [--triplets 6]

Brightness and contrast of a section are an accident of its preparation. *evened*: both slices are
moved towards the stack's own mean and contrast before they go into the model, as far as the stack's
slices jump: the share is the regression of each slice's mean (logarithm of its standard deviation)
on that of its two neighbours, the slice that is scored left out. *oracle*: the result is given the
mean and contrast of the real slice, which nothing can know beforehand. The last column is the share
of the neighbours' own brightness and contrast that is kept.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from common import print_head, print_row  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from tsain_core.evaluation.figures import middle  # noqa: E402
from tsain_core.evaluation.leave_one_out import spread_slices  # noqa: E402
from tsain_core.evaluation.metrics import score  # noqa: E402
from tsain_core.inference.intensity import estimate_range  # noqa: E402
from tsain_core.inference.models import open_model, run_to_end  # noqa: E402
from tsain_core.volumes import open_volume  # noqa: E402

_PRIOR = 2.0  # triplets that say "slices do not jump", beside those of the stack


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, nargs="+", required=True, help="stacks, uint8")
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--triplets", type=int, default=6, help="of each stack, evenly spread")
    args = parser.parse_args()
    model = open_model(args.model)
    print_head("stack", "as it comes: PSNR / structure / SSIM", "evened", "oracle", "kept")
    for path in args.input:
        stack = np.asarray(open_volume(path).data).astype(np.float32)
        intensity = estimate_range(stack, model.percentiles)

        def compute(*pair: NDArray[np.float32], grey=intensity) -> NDArray[np.float32]:  # type: ignore[no-untyped-def]
            image = run_to_end(model.between(*(grey.to_unit(i) for i in pair)))
            return grey.from_unit(image, np.float32)

        means, spreads = stack.mean((1, 2)), np.log(stack.std((1, 2)))
        rows, kept = [], []
        for z in spread_slices(len(stack), args.triplets):
            shares = [persistence(values, z) for values in (means, spreads)]
            kept.append(shares)
            a, truth, b = (np.ascontiguousarray(middle(stack[i])) for i in (z - 1, z, z + 1))
            centre, width = (float(np.delete(v, z).mean()) for v in (means, spreads))

            pair = []
            for i, image in ((z - 1, a), (z + 1, b)):
                gain = np.exp((1 - shares[1]) * (width - spreads[i]))
                moved = means[i] - (1 - shares[0]) * (means[i] - centre)
                pair.append((image - means[i]) * np.float32(gain) + np.float32(moved))
            plain, evened = compute(a, b), compute(*pair)
            best = (evened - evened.mean()) * np.exp(spreads[z]) / np.exp(
                (spreads[z - 1] + spreads[z + 1]) / 2
            ) + truth.mean()
            rows.append([score(image, truth) for image in (plain, evened, best)])
        cells = [
            " / ".join(
                f"{np.mean([getattr(row[i], name) for row in rows]):.{digits}f}"
                for name, digits in (("psnr", 2), ("structure", 2), ("ssim", 3))
            )
            for i in range(3)
        ]
        print_row(path.stem, *cells, " / ".join(f"{v:.2f}" for v in np.mean(kept, 0)))


def persistence(values: NDArray[np.float32], leave_out: int) -> float:
    """How much of what two neighbours have above the mean the slice between them has, 0 to 1."""
    inner = [z for z in range(1, len(values) - 1) if abs(z - leave_out) > 1]
    others = np.delete(values, leave_out)
    mean, variance = others.mean(), others.var() + 1e-9
    pair = np.array([(values[z - 1] + values[z + 1]) / 2 - mean for z in inner])
    slices = np.array([values[z] - mean for z in inner])
    share = (pair @ slices + _PRIOR * variance) / (pair @ pair + _PRIOR * variance)
    return float(np.clip(share, 0, 1))


if __name__ == "__main__":
    main()
