"""`tsain inspect`: a table of damaged slices."""

from __future__ import annotations

import argparse
import csv
import shlex
from pathlib import Path

from ..errors import TsainError, first_line
from ..inspection import Inspection, inspect_stack
from ..inspection.sketch import MEMORY
from ..interpolation.selection import format_slices
from . import _progress as screen
from ._numbers import memory
from ._options import add_volume_options, read_volume

EXAMPLES = """\
  tsain inspect stack.tif
  tsain inspect cremi.h5 --dataset volumes/raw --csv damaged.csv"""

_HEADER = ("z", "kind", "severity", "reason", "replace")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    add_volume_options(parser)
    parser.add_argument(
        "--memory",
        type=memory,
        metavar="512MiB",
        default=MEMORY,
        help="most that is read at once; default: 256MiB",
    )
    parser.add_argument("--csv", type=Path, help="write the findings to this file")
    screen.add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    """Print a line a finding, and the command that mends them."""
    volume = read_volume(args)
    found = screen.with_bar(inspect_stack(volume, args.memory))
    if args.csv:
        _write_csv(args.csv, found)
    if args.json:
        screen.say_json(
            {
                "slices": found.depth,
                "findings": found.rows(),
                "replace": format_slices(found.damaged),
            }
        )
        return
    _table(found)
    if found.damaged:
        words = ["tsain", "interpolate", args.input, "repaired.zarr"]
        words += ["--dataset", args.dataset] if args.dataset else []
        words += ["--replace", format_slices(found.damaged)]
        screen.say(f"Compute them from their neighbours: {shlex.join(words)}")


def _table(found: Inspection) -> None:
    if not found.findings:
        screen.say(f"No damaged slice found among {found.depth}.")
        return
    screen.say(f"{'slice':>6}  {'kind':<15}{'severity':>9}  reason")
    for f in found.findings:
        screen.say(f"{f.z:>6}  {f.kind:<15}{f.severity:>9.2f}  {f.reason}")
    if found.lost:
        screen.say(
            f"Slices {format_slices(found.lost)} lie at an end of the stack: leave them out, since "
            "they have neighbours on one side only."
        )


def _write_csv(path: Path, found: Inspection) -> None:
    try:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, _HEADER)
            writer.writeheader()
            writer.writerows(found.rows())
    except OSError as error:
        raise TsainError(
            f"{path} cannot be written: {first_line(error)}; choose another place."
        ) from error
