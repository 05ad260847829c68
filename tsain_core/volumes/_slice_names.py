"""Names of slice files: which number counts the slices, and how far apart they say they are."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isclose
from pathlib import Path

from ..errors import TsainError, argument, warn
from ._units import normal_unit

#: A minus sign stands at the beginning, or after what is neither a letter nor a digit.
_NUMBER = re.compile(r"(?:(?<![^\W_])-)?\d+")
#: The z position in names of Zeiss Atlas: z=0.0100um.
_POSITION = re.compile(r"z ?= ?(-?\d+(?:\.\d+)?) ?([nµμum]?m)(?![a-z])", re.IGNORECASE)


def in_order(paths: Sequence[Path], folder: str) -> list[Path]:
    """Slice files by the number that counts them; names without numbers by the alphabet.

    Of several numbers in a name, the one that goes up by one most often counts the slices, the
    last of them where several do. Circled and superscript digits are digits.

    Raises
    ------
    TsainError
        If a file has a name of another form than most, a number is there twice, or one is missing.
    """
    names = {path: unicodedata.normalize("NFKC", path.stem) for path in paths}
    _refuse_odd_names(names, folder)
    by_name = sorted(paths, key=lambda path: names[path])
    fields = [[int(n) for n in _NUMBER.findall(names[path])] for path in by_name]
    if not all(fields):
        return by_name
    if len({len(row) for row in fields}) > 1:
        numbers = [row[-1] for row in fields]
    else:
        columns = list(zip(*fields, strict=True))
        best = max(range(len(columns)), key=lambda i: (*_counts(columns[i]), i))
        numbers = list(columns[best])
    if not _counts(numbers)[0] and (places := _positions(by_name)):
        # counted by nothing but their z positions
        step = min((b - a for a, b in pairwise(sorted(places)) if b > a), default=1.0)
        numbers = [round((place - min(places)) / step) for place in places]
    order = sorted(range(len(by_name)), key=lambda i: numbers[i])
    ordered = [by_name[i] for i in order]
    _check_numbers([numbers[i] for i in order], ordered, folder)
    if min(numbers) < 0:
        warn(
            f"{folder} has slices with negative numbers. They are read in ascending order, from "
            f"{ordered[0].name} to {ordered[-1].name}."
        )
    return ordered


def distance(paths: Sequence[Path]) -> tuple[float, str | None] | None:
    """Distance of slices and its unit by the z positions in their names, if it is always the same.

    `paths` are in the order of the slices.
    """
    places = _positions(paths)
    if not places:
        return None
    steps = [b - a for a, b in pairwise(places)]
    if not steps[0] or not all(isclose(step, steps[0], rel_tol=0.01) for step in steps):
        return None
    match = _POSITION.search(paths[0].stem)
    # rounded, for 0.03 - 0.02 is not quite 0.01
    return round(abs(places[-1] - places[0]) / len(steps), 9), normal_unit(match and match[2])


def _positions(paths: Sequence[Path]) -> list[float]:
    """The z positions in the names; none where a name has none, or units differ."""
    found = [_POSITION.search(path.stem) for path in paths]
    if len({match and match[2] for match in found}) > 1:
        return []
    return [float(match[1]) for match in found if match]


def _counts(numbers: Sequence[int]) -> tuple[float, bool]:
    """How often a number goes up by one from file to file, and whether it differs at all."""
    steps = [b - a for a, b in pairwise(sorted(numbers))]
    return steps.count(1), any(steps)


def _refuse_odd_names(names: Mapping[Path, str], folder: str) -> None:
    """Images that lie among the slices, such as an overview."""
    forms = {path: _NUMBER.sub("#", name).casefold() for path, name in names.items()}
    form, most = Counter(forms.values()).most_common(1)[0]
    if 3 * most >= 2 * len(names) and "#" in form:
        odd = [path.name for path in names if forms[path] != form]
    else:
        odd = [path.name for path in names if "#" not in forms[path]]
        odd = odd if 2 * len(odd) < len(names) else []
    if odd:
        usual = min(path.name for path in names if path.name not in odd)
        raise TsainError(
            f"{folder} holds {', '.join(sorted(odd)[:3])}{' and others' if odd[3:] else ''} among "
            f"slices with names like {usual}; a folder holds one stack and nothing else: move it "
            "elsewhere, or name it like the others if it is a slice."
        )


def _check_numbers(numbers: Sequence[int], paths: Sequence[Path], folder: str) -> None:
    """The slice number must go up by one."""
    gaps = []
    for a, b, path in zip(numbers, numbers[1:], paths[1:], strict=False):
        if b == a:
            raise TsainError(
                f"{folder} holds two slices numbered {b} (one is {path.name}); expected one "
                "stack a folder: move the others elsewhere."
            )
        if b != a + 1:
            gaps.append((a, b))
    if gaps:
        a, b = gaps[0]
        missing = ", ".join(f"{a + 1}" if b == a + 2 else f"{a + 1} to {b - 1}" for a, b in gaps)
        raise TsainError(
            f"{folder} has slice {a} and then {b}: {missing} missing; expected every "
            f"slice: add it, or put a copy of slice {a} in each gap and recompute these "
            f"with {argument('replace')}; if nothing is missing, number the files without gaps."
        )
