"""`tsain fetch-sample`: real EM slices to try things on."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ..samples import SAMPLES, fetch_sample, sample_info

EXAMPLES = """\
  tsain fetch-sample vnc1
  tsain fetch-sample fib25 --output data/"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("name", choices=sorted(SAMPLES))
    parser.add_argument("--output", type=Path, help="folder; default: a cache of your user's")


def run(args: argparse.Namespace) -> None:
    """Download, and say where the slices are and under which licence."""
    info = sample_info(args.name)
    print(f"{info.title}: {info.bytes / 1e6:.0f} MB, {info.licence}")
    with tqdm(total=info.bytes, unit="B", unit_scale=True) as bar:
        folder = fetch_sample(
            args.name, args.output, progress=lambda done, total: bar.update(done - bar.n)
        )
    print(folder)
