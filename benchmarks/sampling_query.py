"""What a sampling query costs, against recomputing the whole slice with its sampling.

    python benchmarks/sampling_query.py [--side 1024] [--model tsain-lite] [--input STACK]

Prints milliseconds and ratios of the first query (median over places, each with a new probe) and of
later ones nearby, and how far the first query's points lie from those of the whole slice.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

import numpy as np  # noqa: E402
import torch  # noqa: E402

from tsain_core.inference.intensity import estimate_range  # noqa: E402
from tsain_core.inference.models import NetworkModel, open_model  # noqa: E402
from tsain_core.network import Sampling  # noqa: E402
from tsain_core.offsets import SamplingProbe  # noqa: E402
from tsain_core.sample_data.phantom import em_phantom  # noqa: E402
from tsain_core.volumes import open_volume  # noqa: E402


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--input", help="a stack instead of the phantom")
    args = parser.parse_args()
    model = open_model(args.model)
    assert isinstance(model, NetworkModel)
    side = args.side
    stack = open_volume(args.input) if args.input else em_phantom((2, side, side))
    intensity = estimate_range(stack, model.scaling)
    before, after = (intensity.to_unit(stack[z])[:side, :side].copy() for z in (0, 1))

    sampling = whole_slice(model, before, after)  # warms up
    whole = [timed(lambda: whole_slice(model, before, after)) for _ in range(3)]
    first, later, errors = [], [], []
    height, width = before.shape
    for share in (0.2, 0.35, 0.5, 0.65, 0.8):
        y, x = int(height * share), int(width * (1 - share))
        probe = SamplingProbe(model, before, after)
        first.append(timed(lambda p=probe, y=y, x=x: p.at(y, x)))
        moves = ((dy, dx) for dy in (-16, 0, 16) for dx in (-16, 0, 16))
        later += [timed(lambda p=probe, a=y + a, b=x + b: p.at(a, b)) for a, b in moves]
        errors.append(error(probe, sampling, y, x))
    reference = statistics.median(whole)
    print(f"{height} x {width}, {model.name} on {model.device}, {torch.get_num_threads()} threads")
    print(f"whole slice with its sampling  {reference:9.1f} ms")
    for name, times in (("first query", first), ("later queries nearby", later)):
        ms = statistics.median(times)
        print(f"{name:<30} {ms:9.2f} ms, {reference / ms:8.1f} times cheaper")
    print(f"points of the first query lie within {max(errors):.4f} px of the whole slice's")


def whole_slice(model: NetworkModel, before: np.ndarray, after: np.ndarray) -> Sampling:
    """A forward pass over whole slices that records its sampling."""
    pair = [torch.from_numpy(model.padded(image))[None, None] for image in (before, after)]
    sampling = Sampling()
    with torch.inference_mode(), model.autocast():
        model.network(*(t.to(model.device) for t in pair), sampling)
    return sampling


def error(probe: SamplingProbe, sampling: Sampling, y: int, x: int) -> float:
    """Largest distance in pixels of the steps' points from those of the whole slice."""
    found = probe.at(y, x)
    largest = 0.0
    for taps, points in zip(found.rsab, sampling.rsab, strict=True):
        i, j = y // points.stride, x // points.stride
        offset = points.offset[0, :, :, :, i, j].float().cpu().numpy() * points.stride
        moved = np.stack([taps.dy, taps.dx], -1)
        largest = max(largest, float(np.abs(moved - offset).max()))
    return largest


def timed(run) -> float:  # type: ignore[no-untyped-def]
    """Milliseconds of a call."""
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
