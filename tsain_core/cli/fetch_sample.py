"""`tsain fetch-sample`: real EM slices to try things on."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ..samples import SAMPLES, fetch_sample, sample_files

EXAMPLES = """\
  tsain fetch-sample vnc1
  tsain fetch-sample fib25 --output data/"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("name", choices=sorted(SAMPLES))
    parser.add_argument("--output", type=Path, help="folder; default: a cache of your user's")


def run(args: argparse.Namespace) -> None:
    """Download, and say where the slices are and under which licence."""
    sample = SAMPLES[args.name]
    total = sum(file.bytes for file in sample_files(args.name))
    print(f"{sample.title}: {total / 1e6:.0f} MB, {sample.licence}; {sample.credit}")
    with tqdm(total=total, unit="B", unit_scale=True) as bar:

        def advance(done: int, total: int) -> None:
            bar.update(done - bar.n)

        folder = fetch_sample(args.name, args.output, progress=advance)
    print(folder)
