"""What aligning pairs and matching their brightness gain: leave-one-out on real stacks.

    python benchmarks/pairs.py STACKS --model tsain-lite

Each slice is computed from its neighbours as they are, aligned, and matched in brightness; also
with one neighbour moved by 12 pixels or made darker and flatter. The table has the mean PSNR in dB
of the middle 256 x 256 pixels; the truth of a moved pair lies half-way.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import print_head, print_row

from tsain_core.inference.intensity import estimate_range
from tsain_core.inference.models import InferenceSettings, SliceModel, open_model, run_to_end
from tsain_core.interpolation.interpolate import slice_between
from tsain_core.volumes import open_volume

_SIDE, _EDGE, _MOVE = 256, 32, 12
_WAYS = {
    "as they are": InferenceSettings(),
    "aligned": InferenceSettings(align=True),
    "matched": InferenceSettings(match_brightness=True),
}


def psnr(computed: Any, truth: Any) -> float:
    """Of the inner pixels, of values from 0 to 1."""
    inner = np.s_[_EDGE:-_EDGE, _EDGE:-_EDGE]
    return float(-10 * np.log10(np.mean((computed - truth)[inner] ** 2)))


def triplets(path: Path, count: int) -> list[Any]:
    """Some (before, slice, after) of a stack, scaled to [0, 1]."""
    volume = open_volume(path)
    depth, height, width = volume.shape
    side = min(_SIDE + 2 * _EDGE, height, width)
    y, x = (slice((n - side) // 2, (n + side) // 2) for n in (height, width))
    intensity = estimate_range(volume, open_model("mean").scaling)
    middles = np.unique(np.linspace(1, depth - 2, count).round().astype(int))
    return [intensity.to_unit(volume.read(slice(z - 1, z + 2), y, x)) for z in middles]


def harmed(three: Any, way: str) -> Any:
    """A triplet whose second neighbour is moved or darker, and the truth with it."""
    before, truth, after = three
    if way == "moved":
        return before, np.roll(truth, _MOVE // 2, 1), np.roll(after, _MOVE, 1)
    if way == "darker":
        dim = 0.6 * after + 0.05
        return before, truth * 0.8 + 0.025, dim
    return before, truth, after


def score(model: SliceModel, threes: list[Any], way: str) -> float:
    """Mean PSNR."""
    found = []
    for three in threes:
        before, truth, after = (np.ascontiguousarray(s) for s in harmed(three, way))
        computed, _ = run_to_end(slice_between(model, before, after))
        found.append(psnr(computed, truth))
    return float(np.mean(found))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="has train/ and validate/")
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--count", type=int, default=3, help="triplets of a stack")
    args = parser.parse_args()
    models = {way: open_model(args.model, settings) for way, settings in _WAYS.items()}
    print_head("stack", "neighbours", *models)
    for path in sorted(args.folder.glob("[tv]*/*.tif")):
        if "membranes" in path.stem:
            continue
        if min(open_volume(path).shape[1:]) < 3 * _EDGE:
            continue
        threes = triplets(path, args.count)
        for way in ("real", "moved", "darker"):
            print_row(path.stem, way, *(f"{score(m, threes, way):.2f}" for m in models.values()))


if __name__ == "__main__":
    main()
