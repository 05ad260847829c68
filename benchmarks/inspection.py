"""Damage of known kind in real stacks: how much of it is found, and what is found besides.

    python benchmarks/inspection.py STACKS            # precision and recall by kind
    python benchmarks/inspection.py STACKS --clean    # findings in the stacks as they are

Crops of 20 slices of 256 x 256 pixels are cut from each stack that is deep enough, at places drawn
by chance. One slice is damaged (`tests/support/damage.py`), or one or two slices before it are
taken out. What is found in the crop before it was damaged is not an effect of this damage, and does
not count in the precision; stacks have damage of their own. It has a line of its own below the
table, and `--clean` lists what is found in the whole stacks. All else that is found counts as
wrong, also in the slices next to the damaged one. Limits must be chosen with other seeds than the
default one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from common import print_head, print_row

import tsain_core as tsain
from tsain_core.inspection import Finding
from tsain_core.inspection.collect import Collector
from tsain_core.inspection.judge import judge
from tsain_core.inspection.measures import Prepared, compare, stain
from tsain_core.inspection.sketch import sketches
from tsain_core.inspection.statistics import Measures
from tsain_core.volumes import Volume, open_volume

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from support.damage import KINDS, damage  # noqa: E402

_DEPTH, _SIDE, _MARGIN = 20, 256, 3  # slices, pixels, slices that stay whole at both ends
_CROPS = 4  # of each stack
_SEED = 22
_NAMES = {
    "torn": "torn or folded",
    "folded": "torn or folded",
    "blurred": "out of focus",
    "contrast": "contrast jump",
    "thickness": "gap",
}


@dataclass(frozen=True, eq=False)
class Case:
    """A damaged crop.

    Attributes
    ----------
    stack, kind : str
    z : int
        Where a finding belongs.
    crop : str
        Different for each crop.
    known : set of int
        Slices of the damaged crop that were found before it was damaged.
    measures : Measures
    """

    stack: str
    kind: str
    z: int
    crop: str
    known: frozenset[int]
    measures: Measures


def stacks(folder: Path) -> Iterator[tuple[str, Volume]]:
    """(name, volume) of all stacks of grey values."""
    for path in sorted(folder.glob("*/*.tif")):
        if path.parent.name in ("train", "validate") and "membranes" not in path.stem:
            yield path.stem, open_volume(path)


def prepared(stack: Any) -> list[Prepared]:
    """The slices of an array (z, y, x), made small."""
    return [Prepared(sketch) for sketch in sketches(Volume(da.from_array(stack)))]


def cases(folder: Path, count: int, seed: int) -> Iterator[Case]:
    """So many cases of each kind, spread evenly over crops of all stacks."""
    deep = [(name, v) for name, v in stacks(folder) if v.shape[0] >= _DEPTH]
    crops = deep * _CROPS
    for number, (name, volume) in enumerate(crops):
        random = np.random.default_rng([seed, number])
        first, top, left = (
            int(random.integers(0, length - size + 1))
            for length, size in zip(volume.shape, _box(volume), strict=True)
        )
        size = _box(volume)
        box = slice(first, first + size[0]), slice(top, top + size[1]), slice(left, left + size[2])
        mine = range(number, count, len(crops))
        yield from _damaged((name, number), np.asarray(volume.read(*box)), len(mine), random)


def _box(volume: Volume) -> tuple[int, int, int]:
    return _DEPTH, min(_SIDE, volume.shape[1]), min(_SIDE, volume.shape[2])


def _damaged(
    crop_of: tuple[str, int], crop: Any, count: int, random: np.random.Generator
) -> Iterator[Case]:
    """So many cases of each kind in one crop; what is the same in all of them is computed once."""
    name, number = crop_of
    whole = prepared(crop)
    pair, three = lru_cache(None)(compare), lru_cache(None)(stain)

    def measured(slices: Sequence[Prepared]) -> Measures:
        collector = Collector(pair, three)
        for slice_ in slices:
            collector.add(slice_)
        return collector.measures

    known = {f.z for f in judge(measured(whole)).findings}
    places = [
        z for z in range(_MARGIN + 2, len(crop) - _MARGIN) if not known & {z - 2, z - 1, z, z + 1}
    ]
    for kind in (*KINDS, "thickness"):
        for _ in range(count if places else 0):
            z = int(random.choice(places))
            result = damage(crop, z, kind, random)
            lost = len(crop) - len(result)
            if lost:
                slices = whole[: z - lost] + whole[z:]
            else:
                slices = [*whole[:z], *prepared(result[z : z + 1]), *whole[z + 1 :]]
            old = frozenset(k if k < z else k - lost for k in known)
            yield Case(name, kind, z - lost, f"{name} {number}", old, measured(slices))


def judged(case: Case) -> tuple[bool, bool, list[Finding]]:
    """(whether the damage is found, and named right; what else is found)."""
    findings = judge(case.measures).findings
    here = [f for f in findings if f.z == case.z]
    named = any(f.kind == _NAMES.get(case.kind, case.kind) for f in here)
    found = named if case.kind == "thickness" else bool(here)
    others = [f for f in findings if f.z not in case.known and not (found and f.z == case.z)]
    return found, named, others


def table(folder: Path, count: int, seed: int) -> None:
    """Print precision and recall by kind."""
    total: dict[str, Counter[str]] = {}
    missed: dict[str, Counter[str]] = {}
    before: dict[str, int] = {}
    for case in cases(folder, count, seed):
        found, named, others = judged(case)
        row = total.setdefault(case.kind, Counter())
        beside = sum(abs(f.z - case.z) <= 1 for f in others)
        row.update(cases=1, found=found, named=named, others=len(others), beside=beside)
        before[case.crop] = max(before.get(case.crop, 0), len(case.known))
        missed.setdefault(case.kind, Counter()).update({case.stack: not found})
    total["all"] = sum(total.values(), Counter())
    print_head(
        "damage",
        "found",
        "recall",
        "named right",
        "found besides",
        "of them next to it",
        "precision",
        "missed in",
    )
    for kind, row in total.items():
        right = row["found"] / max(row["found"] + row["others"], 1)
        where = ", ".join(f"{k} {n}" for k, n in missed.get(kind, Counter()).most_common() if n)
        print_row(
            kind,
            f"{row['found']} of {row['cases']}",
            f"{row['found'] / row['cases']:.3f}",
            row["named"],
            row["others"],
            row["beside"],
            f"{right:.3f}",
            where,
        )
    by_stack: Counter[str] = Counter()
    for crop, number in before.items():
        by_stack[crop.rsplit(" ", 1)[0]] += number
    share = f"{sum(by_stack.values())} of {_DEPTH * len(before)}"
    where = ", ".join(f"{k} {n}" for k, n in by_stack.most_common() if n)
    print(f"\nFound in the crops before they were damaged: {share} slices ({where}).")


def clean(folder: Path) -> None:
    """Print what is found in the stacks as they are."""
    for name, volume in stacks(folder):
        findings = tsain.inspect(volume).findings
        print(f"{name}: {len(findings)} of {volume.shape[0]} slices")
        for f in findings:
            print(f"  {f.z:>4}  {f.kind:<15}{f.severity:>6.2f}  {f.reason}")


def main() -> None:
    """Read the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=_SEED)
    parser.add_argument("--clean", action="store_true")
    args = parser.parse_args()
    if args.clean:
        clean(args.folder)
    else:
        table(args.folder, args.cases, args.seed)


if __name__ == "__main__":
    main()
