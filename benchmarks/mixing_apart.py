"""Shares of the mix are found on slices twice as far apart as in use: do they hold?

    python benchmarks/mixing_apart.py --data FOLDER [--model tsain-lite]

On FIB-25's held-out end, as it is and binned by 2 and 4, shares are found at twice the spacing, as
a check of a stack finds them, and given to slices at the spacing itself. Beside that: shares found
at the spacing, without the triplets that hold the scored slice. Changes of PSNR / structure / SSIM.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from collections.abc import Sequence  # noqa: E402
from fractions import Fraction  # noqa: E402

from common import add_data_option, difference, print_head, print_row  # noqa: E402
from regime_rows import rows  # noqa: E402
from regimes import open_models, row_fits  # noqa: E402

from tsain_core.evaluation.leave_one_out import LeftOut, leave_out  # noqa: E402
from tsain_core.evaluation.metrics import mean_scores, score  # noqa: E402
from tsain_core.inference.mixing import Image, MixShares, mix_with_mean  # noqa: E402
from tsain_core.stack_check.fit_shares import fit_shares, shares_without  # noqa: E402
from tsain_core.stack_check.mixing import Pairs, with_means  # noqa: E402

_STACK = "fib25 held out, spacing "


def main() -> None:
    """Find, mix, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--model", default="tsain-lite")
    parser.add_argument("--triplets", type=int, default=8, help="most triplets scored of a row")
    args = parser.parse_args()
    model = open_models([args.model])[args.model]
    known = {row.name: row for row in rows(args.data, triplets=args.triplets)}
    fits = {name: row_fits(row, model) for name, row in known.items() if name.startswith(_STACK)}
    print_head("row", "found at twice the spacing", "found at the spacing")
    for name in fits:
        spacing, _, rest = name.removeprefix(_STACK).partition(",")
        twice = f"{_STACK}{2 * int(spacing)}{',' if rest else ''}{rest}"
        if twice not in fits:
            continue
        row = known[name]
        left_out = list(leave_out(row.stack, [model], row.crop, slices=row.slices))
        pairs = with_means(row.stack, left_out, row.crop)
        far = [fit_shares(fits[twice])] * len(pairs)
        near = [shares_without(fits[name], left.z) for left in left_out]
        print_row(name, *(_change(pairs, shares) for shares in (far, near)))


def _change(pairs: Pairs, shares: Sequence[MixShares | None]) -> str:
    """Mean scores of the mixed slices less those of the slices as they are."""
    before = mean_scores([score(left.image, left.truth) for left, _ in pairs])
    mixed = [_mixed(left, mean, s) for (left, mean), s in zip(pairs, shares, strict=True)]
    after = mean_scores([score(i, left.truth) for i, (left, _) in zip(mixed, pairs, strict=True)])
    gains = (after.psnr - before.psnr, after.structure - before.structure, after.ssim - before.ssim)
    return difference(*gains)


def _mixed(left: LeftOut, mean: Image, shares: MixShares | None) -> Image:
    return mix_with_mean(left.image, mean, mean, Fraction(1, 2), shares) if shares else left.image


if __name__ == "__main__":
    main()
