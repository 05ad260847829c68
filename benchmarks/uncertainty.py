"""Do 90 % intervals hold 90 % of the true pixels, on stacks that the calibration never saw?

    python benchmarks/uncertainty.py --data FOLDER [--model NAME] [--figure FILE] [--write FILE]

Slices of each stack are left out and computed from their neighbours. A calibration is fitted on all
stacks but one, and tried on that one; then one is fitted on some slices of the stack itself, and
tried on the others. Beside the share of pixels in the intervals stands the correlation (Spearman)
of the uncertainty with the true error, over patches of 8 x 8 pixels of all its slices. `--write`
fits on all stacks and writes the file that lies beside the weights.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from collections.abc import Mapping, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from common import add_data_option, print_head, print_row  # noqa: E402
from scipy.stats import spearmanr  # noqa: E402

from tsain_core.errors import TsainError  # noqa: E402
from tsain_core.inference.models import open_model  # noqa: E402
from tsain_core.stack_check.triplets import Triplets  # noqa: E402
from tsain_core.system.atomic import write_text  # noqa: E402
from tsain_core.uncertainty import Calibration, ErrorSample, fit, left_out_samples  # noqa: E402
from tsain_core.uncertainty.calibration import COVERAGE, LEVELS, coverage  # noqa: E402
from tsain_core.volumes import open_volume  # noqa: E402

#: Of the specimens that lie in both folders, the part for validation is taken.
STACKS = (
    *("validate/cebraem", "validate/fafb_0-3", "validate/gala_example", "validate/isbi2012_train"),
    *("validate/retina_apex", "validate/sbem_050-059", "validate/snemi3d_ac3_000-019"),
    *("train/fib25_b", "train/kasthuri11_res3", "train/vnc_stack1"),
)
_PATCH = 8  # side in pixels of a patch, whose mean error is compared with its uncertainty


def main() -> None:
    """Fit, try, print, draw."""
    args = _arguments()
    model = open_model(args.model)
    samples: dict[str, list[ErrorSample]] = {}
    wide: dict[str, list[ErrorSample]] = {}
    for name in STACKS:
        try:
            known = Triplets(open_volume(args.data / f"{name}.tif"), args.triplets, args.crop)
        except TsainError as error:
            print(f"{name} is left out: {error}")
            continue
        samples[name] = list(left_out_samples(known, model, known.slices, args.crop, pixels=None))
        far = [z for z in known.slices if 2 <= z < known.shape[0] - 2]
        wide[name] = list(left_out_samples(known, model, far, args.crop, reach=2))
    curves = _unseen(samples, wide)
    if args.figure:
        _draw(args.figure, curves, args.model)
    if args.write:
        every = [s for found in samples.values() for s in found]
        origin = f"{len(every)} slices of {len(samples)} stacks, left out"
        write_text(args.write, json.dumps(fit(every, origin).to_json(), indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--model", default="tsain-lite", help="name or file")
    parser.add_argument("--triplets", type=int, default=8, help="most slices of a stack")
    parser.add_argument("--crop", type=int, default=192, help="side of the central crop")
    parser.add_argument("--figure", type=Path, help="draw the curves to this file")
    parser.add_argument("--write", type=Path, help="fit on all stacks, and write this file")
    return parser.parse_args()


def _unseen(
    samples: Mapping[str, Sequence[ErrorSample]], wide: Mapping[str, Sequence[ErrorSample]]
) -> dict[str, list[float]]:
    """Each stack by a calibration that never saw it; share in the interval at each level."""
    print_head(
        "stack", "slices", "in 90 %", "error, levels", "half width", "correlation",
        "neighbours 2 apart on each side: in 90 %", "own calibration: in 90 %",
    )  # fmt: skip
    curves = {}
    for name, mine in samples.items():
        found = fit([s for other, some in samples.items() if other != name for s in some])
        curves[name] = [float(np.mean(coverage(mine, found, level))) for level in LEVELS]
        error = 255 * np.mean([np.abs(s.error).mean() for s in mine])
        factor = np.interp(COVERAGE, LEVELS, found.quantiles)
        width = 255 * factor * np.mean([found.deviation(s.features).mean() for s in mine])
        print_row(
            name,
            len(mine),
            f"{curves[name][LEVELS.index(COVERAGE)]:.1%}",
            f"{error:.1f}",
            f"{width:.1f}",
            f"{_correlation(mine, found):.2f}",
            f"{np.mean(coverage(wide[name], found)):.1%}" if wide[name] else "",
            f"{_own(mine):.1%}" if len(mine) > 3 else "",
        )
    mean = np.mean(list(curves.values()), axis=0)
    print_row("**mean**", "", f"{mean[LEVELS.index(COVERAGE)]:.1%}", *[""] * 5)
    print("\nweights:", fit([s for some in samples.values() for s in some]).weights)
    return curves


def _correlation(samples: Sequence[ErrorSample], found: Calibration) -> float:
    """Rank correlation of uncertainty and error, over patches of all slices of a stack."""
    sure: list[Any] = []
    off: list[Any] = []
    for sample in samples:
        if not sample.shape[0]:
            continue  # pixels without a value
        rows, columns = (n // _PATCH for n in sample.shape)
        for values, kept in ((found.deviation(sample.features), sure), (abs(sample.error), off)):
            whole = values.reshape(sample.shape)[: rows * _PATCH, : columns * _PATCH]
            kept.append(whole.reshape(rows, _PATCH, columns, _PATCH).mean((1, 3)).ravel())
    return float(spearmanr(np.concatenate(sure), np.concatenate(off)).statistic)


def _own(samples: Sequence[ErrorSample]) -> float:
    """Every second slice tried by a calibration on the others, and the other way round."""
    halves = samples[::2], samples[1::2]
    pairs = (halves, halves[::-1])
    return float(np.mean([c for a, b in pairs for c in coverage(b, fit(a))]))


def _draw(path: Path, curves: Mapping[str, Sequence[float]], model: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.4), layout="constrained")
    ax = figure.add_subplot()
    ax.plot((0, 1), (0, 1), color="0.6", linewidth=1)
    for name, shares in curves.items():
        ax.plot(LEVELS, shares, "o-", markersize=3, linewidth=1, label=name.split("/")[1])
    ax.plot(LEVELS, np.mean(list(curves.values()), axis=0), color="black", label="mean")
    ax.set_xlabel("share of pixels that the interval is to hold")
    ax.set_ylabel("share that it holds, on stacks never seen")
    ax.set_title(model, fontsize=10)
    ax.legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
