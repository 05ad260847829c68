"""Does the check of a few triplets find the model that a full evaluation finds?

    python benchmarks/regimes.py --data DIR --models tsain-lite tsain-lite-fib25 --mix --json FULL
    python benchmarks/stack_check.py --data DIR --json FULL [--rows "binned 2" gala ...]

On rows of `regimes.py`, whose names contain one of `--rows`, the best of the candidates of
`--model auto`, and of further `--models`, as they are or mixed with the mean, is chosen by the
check (`tsain_core.stack_check`) and by full scores, of every triplet of the central 512 x 512
pixels. A choice is right if it is, by the full scores, at most 0.1 dB below the best; dB are the
mean of PSNR and structure. The time is that of a first check, with nothing kept.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from pathlib import Path  # noqa: E402

from common import add_data_option, hardware, print_head, print_row  # noqa: E402
from regime_rows import Row, rows  # noqa: E402
from torch import device  # noqa: E402

from tsain_core.inference.models import BASELINES, run_to_end  # noqa: E402
from tsain_core.stack_check import (  # noqa: E402
    CROP,
    TRIPLETS,
    auto_candidates,
    check_stack,
    mixed_name,
)
from tsain_core.system.folders import HOME_VARIABLE  # noqa: E402

_ALLOWED = 0.1  # dB that a choice may lie below the best


def main() -> None:
    """Check, evaluate, compare."""
    args = _arguments()
    names = list(dict.fromkeys([*auto_candidates("cpu"), *args.models]))
    networks = [name for name in names if name not in BASELINES]
    known = json.loads(args.json.read_text())["scores"]
    labels = [*names, *map(mixed_name, networks)]
    print(f"{hardware(device('cpu'))}; {TRIPLETS} triplets of {CROP} px; {', '.join(networks)}\n")
    print_head("stack", "chosen", "best by all triplets", "chosen is below the best, dB", "seconds")
    right = total = 0
    for row in rows(args.data):
        if args.rows and not any(text in row.name for text in args.rows):
            continue
        chosen, seconds = _choice(row, names)
        full = known[row.name]
        quality = {name: (full[name]["psnr"] + full[name]["structure"]) / 2 for name in labels}
        best = max(quality, key=lambda name: quality[name])
        below = quality[best] - quality[chosen]
        right, total = right + (below <= _ALLOWED), total + 1
        print_row(row.name, chosen, best, f"{below:.2f}", f"{seconds:.1f}")
    print(f"\nRight on {right} of {total}.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--models", nargs="*", default=[], help="further candidates")
    parser.add_argument("--rows", nargs="*", default=[], help="parts of names of rows")
    parser.add_argument("--json", type=Path, required=True, help="written by regimes.py --mix")
    return parser.parse_args()


def _choice(row: Row, names: list[str]) -> tuple[str, float]:
    """The model that the check chooses, and the seconds that it takes."""
    with tempfile.TemporaryDirectory() as home:
        os.environ[HOME_VARIABLE] = home  # nothing is kept from an earlier check
        start = time.perf_counter()
        check = run_to_end(check_stack(row.stack, names))
        name, mix = check.best_mixed()
        return mixed_name(name) if mix else name, time.perf_counter() - start


if __name__ == "__main__":
    main()
