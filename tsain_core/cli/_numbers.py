"""Numbers in options: what is no number, or beyond what makes sense, is refused in one line."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SHOWN = 40  # characters of an option's value in a message
#: No machine has more, and no volume more voxels along an axis.
LARGEST = 1 << 40


def integer(least: int, most: int = LARGEST) -> Callable[[str], int]:
    """For argparse: an integer of a range."""

    def parse(text: str) -> int:
        match = re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip())
        number = int(match[0]) if match else None
        if number is None or not least <= number <= most:
            span = f"from {least} to {most}" if most < LARGEST else f"of {least} or more"
            raise argparse.ArgumentTypeError(f"{_shown(text)} is not an integer {span}")
        return number

    return parse


def real(
    least: float = 0.0, most: float = math.inf, *, open_at_least: bool = True
) -> Callable[[str], float]:
    """For argparse: a finite number of a range, by default a positive one."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        low = number > least if open_at_least else number >= least
        if not (math.isfinite(number) and low and number <= most):
            if most < math.inf:
                span = f"a number from {least:g} to {most:g}"
            elif open_at_least:
                span = "a positive number" if least == 0 else f"a number above {least:g}"
            else:
                span = f"a number of {least:g} or more"
            raise argparse.ArgumentTypeError(f"{_shown(text)} is not {span}")
        return number

    return parse


def memory(text: str) -> int:
    """For argparse: bytes from "1.5GiB", "800M" or a plain number."""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{0,15})?)\s*([kmgt]?)(i?b)?", text.strip().lower())
    number = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{_shown(text)} is no amount of memory like 1.5GiB")
    return number


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
