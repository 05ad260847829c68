"""Do the sampling points follow structure, as in Figure 5 of the paper?

    python benchmarks/sampling_structure.py [--input STACK] [--model tsain-lite] [--every 8]

For queries on a grid: mean difference in grey between the computed slice at the query and at its
sampling points (weighted by the masks), over that at the same points turned by 90 degrees round
the query. Turned points lie as far away, and know nothing of the structure: below 1, the points
prefer what looks like the query. Also the mean length of the offsets in pixels.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

import numpy as np  # noqa: E402
from scipy.ndimage import map_coordinates  # noqa: E402

from tsain_core.inference.intensity import estimate_range  # noqa: E402
from tsain_core.inference.models import NetworkModel, open_model, run_to_end  # noqa: E402
from tsain_core.offsets import SamplingProbe  # noqa: E402
from tsain_core.sample_data.phantom import em_phantom  # noqa: E402
from tsain_core.volumes import open_volume  # noqa: E402

_SIDE = 512


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", help="a stack instead of the phantom")
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--every", type=int, default=8, help="pixels between queries")
    args = parser.parse_args()
    model = open_model(args.model)
    assert isinstance(model, NetworkModel)
    stack = open_volume(args.input) if args.input else em_phantom((4, 256, 256))
    intensity = estimate_range(stack, model.scaling)
    images = [intensity.to_unit(stack[z])[:_SIDE, :_SIDE].copy() for z in range(4)]
    ratios: list[list[float]] = [[], [], []]
    lengths: list[list[float]] = [[], [], []]
    for before, after in zip(images, images[1:], strict=False):
        image = run_to_end(model.between(before, after))
        probe = SamplingProbe(model, before, after, core=max(image.shape))
        for i, (own, turned, length) in enumerate(measure(probe, image, args.every)):
            ratios[i].append(own / turned)
            lengths[i].append(length)
    print(f"{args.input or 'phantom'}, {model.name}, 3 slices, queries every {args.every} px")
    for i, (ratio, reach) in enumerate(zip(ratios, lengths, strict=True), 1):
        print(
            f"step {i}: difference in grey {np.mean(ratio):.3f} of that at turned points "
            f"({min(ratio):.3f} to {max(ratio):.3f}), offsets {np.mean(reach):.1f} px"
        )


def measure(
    probe: SamplingProbe, image: np.ndarray, every: int
) -> list[tuple[float, float, float]]:
    """(difference at the points, at turned points, mean length of offsets) of each step."""
    places = [
        (y, x)
        for y in range(32, image.shape[0] - 32, every)
        for x in range(32, image.shape[1] - 32, every)
    ]
    sums = np.zeros((3, 3))
    weights = np.zeros(3)
    for place in places:
        points = probe.at(*place)
        y, x = points.y, points.x
        here = grey(image, np.array([y]), np.array([x]))
        for i, taps in enumerate(points.rsab):
            dy, dx, mask = (v.ravel() for v in (taps.y - y, taps.x - x, taps.mask))
            own = np.abs(grey(image, y + dy, x + dx) - here)
            turned = np.abs(grey(image, y + dx, x - dy) - here)
            length = np.hypot(taps.dy, taps.dx).ravel()
            sums[i] += [(mask * v).sum() for v in (own, turned, length)]
            weights[i] += mask.sum()
    return [tuple(row / w) for row, w in zip(sums, weights, strict=True)]


def grey(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Bilinear grey values at places of an image."""
    return map_coordinates(image, [y, x], order=1, mode="nearest")


if __name__ == "__main__":
    main()
