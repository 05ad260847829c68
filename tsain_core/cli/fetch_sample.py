"""`tsain fetch-sample`: real EM slices to try things on."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ..samples import SAMPLES, fetch_sample, sample_info
from ._options import Subparsers, add_command

_EXAMPLES = """\
  tsain fetch-sample vnc1
  tsain fetch-sample fib25 --output data/"""


def add_parser(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Add this subcommand."""
    parser = add_command(
        commands, shared, "fetch-sample", "download real EM slices, with their licence", _EXAMPLES
    )
    parser.add_argument("name", choices=sorted(SAMPLES))
    parser.add_argument("--output", type=Path, help="folder; default: a cache of your user's")
    parser.set_defaults(run=run)
