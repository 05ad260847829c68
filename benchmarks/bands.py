"""How sure a model is, and how right, detail by detail: computed against real slices by wavelength.

    python benchmarks/bands.py --input STACK [--model tsain-lite] [--ensemble 4] [--every 2]

Every slice of a stack is computed from its neighbours, as `tsain evaluate` does, and compared with
the real one in bands of spatial frequency. *correlation*: the share of the real slice's power that
a multiple of the computed one explains. *slope*: the multiple that would explain most; 1 is right,
below 1 the model makes more contrast than it has grounds for. *gain*: what PSNR would win if every
band were multiplied by its slope, which no model can know beforehand. The mean grey value of each
slice is left out.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from itertools import pairwise  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from common import print_head, print_row  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from tsain_core.evaluation.figures import middle  # noqa: E402
from tsain_core.inference.intensity import estimate_range  # noqa: E402
from tsain_core.inference.models import InferenceSettings, open_model, run_to_end  # noqa: E402
from tsain_core.sample_data.phantom import em_phantom  # noqa: E402
from tsain_core.volumes import open_volume  # noqa: E402

_WAVELENGTHS = (250, 125, 62, 33, 20, 12.5, 8, 5, 2)  # pixels, borders of the bands


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, help="a stack instead of the phantom")
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--ensemble", type=int, default=1, help="passes, as for `tsain`")
    parser.add_argument("--every", type=int, default=1, help="take every n-th triplet")
    args = parser.parse_args()
    model = open_model(args.model, InferenceSettings(ensemble=args.ensemble))
    stack = open_volume(args.input) if args.input else em_phantom((7, 256, 256))
    intensity = estimate_range(stack, model.scaling)
    sums = np.zeros((3, len(_WAVELENGTHS) + 1))  # computed with real, computed, real
    for z in range(1, stack.shape[0] - 1, args.every):
        cuts = [middle(np.asarray(stack[i])) for i in (z - 1, z, z + 1)]
        before, truth, after = (np.ascontiguousarray(intensity.to_unit(cut)) for cut in cuts)
        sums += powers(run_to_end(model.between(before, after)), truth)
    cross, own, real = sums
    error = real - 2 * cross + own
    names = (f"{a:g} to {b:g}" for a, b in pairwise(_WAVELENGTHS))
    print_head("wavelength px", "share of the error", "correlation", "slope")
    for i, name in enumerate((f"above {_WAVELENGTHS[0]}", *names, f"below {_WAVELENGTHS[-1]}")):
        print_row(
            name,
            f"{error[i] / error.sum():.1%}",
            f"{cross[i] ** 2 / (own[i] * real[i]):.3f}",
            f"{cross[i] / own[i]:.2f}",
        )
    best = real - cross**2 / own
    print(f"\ngain: {10 * np.log10(error.sum() / best.sum()):.2f} dB")


def powers(computed: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.float64]:
    """Common and own power of two images (y, x) in each band, without their means.

    Returns
    -------
    ndarray (3, bands)
        Of both together, of the computed one, of the real one.
    """
    a, b = (np.fft.rfft2(image - image.mean()) for image in (computed, truth))
    y, x = np.fft.fftfreq(truth.shape[0])[:, None], np.fft.rfftfreq(truth.shape[1])
    band = np.digitize(np.hypot(y, x), [1 / w for w in _WAVELENGTHS]).ravel()
    twice = np.where((x == 0) | (x == 0.5), 1.0, 2.0)  # the mirrored half is left out
    parts = ((a * b.conj()).real, abs(a) ** 2, abs(b) ** 2)
    count = len(_WAVELENGTHS) + 1
    return np.stack([np.bincount(band, (twice * p).ravel(), count) for p in parts])


if __name__ == "__main__":
    main()
