"""Is a model anywhere worse than what needs no model? All validation stacks, coarse and fine.

    python benchmarks/regimes.py --data FOLDER --models tsain-lite FILE --peers rife unet

Every slice of each stack is computed from its neighbours, as `tsain evaluate` does, and compared
with the real one: the stacks of FOLDER/validate, FIB-25's held-out end at spacings of 1, 2, 4 and 8
voxels, and each of them binned by 2 and 4 in x and y. Beside a model's score stands the best peer
of that column, and the margin over it; margins below what is allowed are bold. Peers: the mean of
neighbours, DIS optical flow, both blurred by 1 and 2 pixels, and what `--peers` adds. Their scores
are kept in a file, so that a run with new weights computes nothing but the models. With
`--mix` models are also scored mixed with the mean, in shares from triplets that do not hold the
scored slice.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it

from collections.abc import Mapping, Sequence  # noqa: E402
from dataclasses import asdict  # noqa: E402
from fractions import Fraction  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from common import add_data_option, print_head, print_row  # noqa: E402
from peers import PeerScores, open_peers  # noqa: E402
from regime_rows import Row, rows  # noqa: E402
from unet import is_unet, load_unet  # noqa: E402

from tsain_core.evaluation.leave_one_out import CROP, central, leave_out  # noqa: E402
from tsain_core.evaluation.metrics import Scores, mean_scores, score  # noqa: E402
from tsain_core.inference.detail import add_detail  # noqa: E402
from tsain_core.inference.models import InferenceSettings, SliceModel, open_model  # noqa: E402
from tsain_core.stack_check import CROP as CHECKED  # noqa: E402
from tsain_core.stack_check import TRIPLETS, mixed_name  # noqa: E402
from tsain_core.stack_check.fit_shares import TripletFit  # noqa: E402
from tsain_core.stack_check.mixing import (  # noqa: E402
    brightness_of,
    fits_of,
    mixed_slices,
    with_means,
)
from tsain_core.stack_check.triplets import Triplets  # noqa: E402

#: Column -> its decimals, how much a peer may be better, and what the mean margin must be.
_COLUMNS = {
    "psnr": (2, 0.05, 0.5),
    "structure": (2, 0.05, 0.5),
    "ssim": (3, 0.005, 0.02),
}
_HEADS = {"psnr": "PSNR dB", "structure": "structure dB", "ssim": "SSIM"}
_SHARP = (0.5, 1.2)  # sharpness that a sharp model must have
_AND_DETAIL = ", detail "  # behind the name of a model, and how much
_SOFT = 0.2  # sharpness from which a peer is compared with a sharp model

Methods = dict[str, Scores]  # model or peer -> mean scores
Table = dict[str, Methods]  # of each row


def main() -> None:
    """Score, print the tables and verdicts, write the JSON file."""
    args = _arguments()
    models = open_models(args.models)
    peers = open_peers(args.peers)
    kept = PeerScores(args.cache)
    table: Table = {}
    counts: dict[str, int] = {}
    crop = 256 if args.quick else CROP
    for row in rows(args.data, args.also, 4 if args.quick else args.triplets, crop):
        scores = {peer.name: kept.mean(row, peer) for peer in peers}
        for name, model in models.items():
            detail = args.detail if name in args.sharp else 0.0
            scores |= score_row(row, name, model, args.mix, detail)
        table[row.name], counts[row.name] = scores, len(row.slices)
    names = [peer.name for peer in peers]
    shown = [name for name in next(iter(table.values())) if name not in names]
    verdicts = {name: _report(table, counts, name, names) for name in shown}
    for name in shown:
        if name.partition(_AND_DETAIL)[0].removesuffix(mixed_name("")) in args.sharp:
            verdicts[f"{name} as a sharp model"] = _report_sharp(table, name, names)
    if args.all:
        _print_all(table)
    if args.json:
        _write(args.json, table, counts, verdicts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument(
        "--models", nargs="*", default=["tsain-lite"], help="names, or files, also of unet.py"
    )
    parser.add_argument("--sharp", nargs="*", default=[], help="of these, judge as sharp models")
    parser.add_argument("--detail", type=float, default=0, help="detail that these are given")
    parser.add_argument("--mix", action="store_true", help="score models mixed with the mean, too")
    parser.add_argument("--peers", nargs="*", default=[], help="rife, unet, or files of unet.py")
    parser.add_argument("--also", nargs="*", type=Path, default=[], help="further stacks, uint8")
    parser.add_argument("--triplets", type=int, help="most triplets a row, evenly spread")
    parser.add_argument("--quick", action="store_true", help="4 triplets a row, crops of 256 px")
    parser.add_argument("--all", action="store_true", help="print every score of every method")
    parser.add_argument("--cache", type=Path, default=Path("runs/regimes-peers.json"))
    parser.add_argument("--json", type=Path, help="write all scores to this file")
    args = parser.parse_args()
    if not set(args.sharp) <= set(args.models):
        parser.error("--sharp takes what --models has")
    return args


def open_models(names: Sequence[str]) -> dict[str, SliceModel]:
    """Name as given -> model, in float32 on every device, so that scores agree."""
    settings = InferenceSettings(precision="fp32")
    return {n: load_unet(Path(n)) if is_unet(n) else open_model(n, settings) for n in names}


def score_row(row: Row, name: str, model: SliceModel, mix: bool, detail: float) -> Methods:
    """Mean scores of a model, and of what is made of its slices: mixed, with detail, or both.

    How a model is mixed is found as the check of a stack finds it, without the triplets that hold
    the scored slice, and without its own brightness.
    """
    left_out = list(leave_out(row.stack, [model], row.crop, slices=row.slices))
    made = {name: [left.image for left in left_out]}
    soft = dict(made)  # what detail is put on
    if mix:
        pairs, fits = with_means(row.stack, left_out, row.crop), row_fits(row, model)
        brightness = brightness_of(row.stack, row.slices)
        made[mixed_name(name)] = mixed_slices(pairs, fits, brightness)
        if detail:
            soft[mixed_name(name)] = mixed_slices(pairs, fits, brightness, before_detail=True)
    if detail:
        box = central(row.stack.shape[1:], row.crop)
        real = [row.stack[z - 1 : z + 2 : 2, *box].astype(np.float32) for z in row.slices]
        made |= {
            f"{label}{_AND_DETAIL}{detail:g}": [
                add_detail(image, pair[0], pair[1], Fraction(1, 2), detail)
                for image, pair in zip(images, real, strict=True)
            ]
            for label, images in soft.items()
        }
    return {
        label: mean_scores(
            [score(i, left.truth, left.valid) for i, left in zip(images, left_out, strict=True)]
        )
        for label, images in made.items()
    }


def row_fits(row: Row, model: SliceModel) -> list[TripletFit]:
    """What the triplets that a check of the row's stack takes say of a model's shares."""
    known = Triplets(row.stack, TRIPLETS, CHECKED)
    left_out = list(leave_out(known, [model], CHECKED, slices=known.slices))
    return fits_of(with_means(known, left_out, CHECKED))


def _report(
    table: Table, counts: Mapping[str, int], model: str, peers: Sequence[str]
) -> dict[str, object]:
    """Print a model beside the best peer of each column; the margins and the verdict."""
    print(f"\n## {model}\n")
    print_head("stack", "triplets", *_HEADS.values(), "sharpness")
    margins: dict[str, list[float]] = {column: [] for column in _COLUMNS}
    for row, scores in table.items():
        cells = []
        for column, (digits, allowed, _) in _COLUMNS.items():
            value, best, name = beside_best(scores, model, peers, column)
            margins[column].append(value - best)
            margin = f"{value - best:+.{digits}f}"
            margin = f"**{margin}**" if value - best < -allowed else margin
            cells.append(f"{value:.{digits}f} ({name} {best:.{digits}f}: {margin})")
        print_row(row, counts[row], *cells, f"{scores[model].sharpness:.2f}")
    worst = {column: min(values) for column, values in margins.items()}
    mean = {column: sum(values) / len(values) for column, values in margins.items()}
    good = all(
        worst[column] >= -allowed and mean[column] >= least
        for column, (_, allowed, least) in _COLUMNS.items()
    )
    for text, figures in (("worst margin", worst), ("mean margin", mean)):
        print_row(f"**{text}**", "", *(f"{figures[c]:+.{_COLUMNS[c][0]}f}" for c in _COLUMNS), "")
    print(f"\n{model}: {'PASS' if good else 'FAIL'}: {_rule()}")
    return {"pass": good, "worst_margin": worst, "mean_margin": mean}


def beside_best(
    scores: Mapping[str, Scores], model: str, peers: Sequence[str], column: str
) -> tuple[float, float, str]:
    """Score of the model, the best of the peers' and whose that is."""
    name = max(peers, key=lambda peer: getattr(scores[peer], column))
    return getattr(scores[model], column), getattr(scores[name], column), name


def _rule() -> str:
    allowed = ", ".join(f"{_HEADS[c]} {a:g}" for c, (_, a, _) in _COLUMNS.items())
    least = ", ".join(f"{_HEADS[c]} {m:g}" for c, (_, _, m) in _COLUMNS.items())
    return f"in no row is a peer better by more than {allowed}; mean margin at least {least}"


def _report_sharp(table: Table, model: str, peers: Sequence[str]) -> dict[str, object]:
    """Print where a sharp model is too soft, too rough, or below a peer that is not soft."""
    faults = []
    for row, scores in table.items():
        sharpness = scores[model].sharpness
        if not _SHARP[0] <= sharpness <= _SHARP[1]:
            faults.append(f"{row}: sharpness {sharpness:.2f}")
        rivals = [peer for peer in peers if scores[peer].sharpness >= _SOFT]
        for column in ("structure", "ssim") if rivals else ():
            value, best, name = beside_best(scores, model, rivals, column)
            if value <= best:
                faults.append(f"{row}: {_HEADS[column]} {value - best:+.3f} to {name}")
    print(f"\n{model} as a sharp model: {'FAIL' if faults else 'PASS'}")
    print("".join(f"- {fault}\n" for fault in faults))
    return {"pass": not faults, "faults": faults}


def _print_all(table: Table) -> None:
    print("\n## All scores\n")
    print_head("stack", "method", *_HEADS.values(), "IE", "sharpness")
    for row, methods in table.items():
        for name, s in methods.items():
            cells = (f"{s.psnr:.2f}", f"{s.structure:.2f}", f"{s.ssim:.3f}", f"{s.ie:.2f}")
            print_row(row, name, *cells, f"{s.sharpness:.2f}")


def _write(
    path: Path, table: Table, counts: Mapping[str, int], verdicts: Mapping[str, object]
) -> None:
    scores = {row: {n: asdict(s) for n, s in methods.items()} for row, methods in table.items()}
    text = json.dumps({"verdicts": verdicts, "triplets": counts, "scores": scores}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


if __name__ == "__main__":
    main()
