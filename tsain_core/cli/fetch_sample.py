"""`tsain fetch-sample`: real EM slices to try things on, or a generated stack."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from .. import __version__
from ..sample_data import SAMPLES, fetch_sample, sample_files
from ..sample_data.phantom import em_phantom
from ..volumes import create_volume
from . import _progress as screen

#: Name of the stack that is generated instead of downloaded.
PHANTOM = "phantom"
_SHAPE = (25, 256, 256)
_VOXEL_SIZE = (40.0, 5.0, 5.0)  # nanometers

EXAMPLES = """\
  tsain fetch-sample phantom --output stack.tif   a generated stack; needs no network
  tsain fetch-sample vnc1
  tsain fetch-sample fib25 --output data/"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("name", choices=sorted((*SAMPLES, PHANTOM)))
    parser.add_argument(
        "--output",
        type=Path,
        help="folder; default: a cache of your user's. Of the phantom a file, .tif, .h5 or .zarr",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the phantom's file")


def run(args: argparse.Namespace) -> None:
    """Download, and say where the slices are and under which licence."""
    if args.name == PHANTOM:
        screen.say(_write_phantom(args.output or Path(f"{PHANTOM}.tif"), args.overwrite))
        return
    sample = SAMPLES[args.name]
    total = sum(file.bytes for file in sample_files(args.name))
    screen.say(f"{sample.title}: {total / 1e6:.0f} MB, {sample.licence}; {sample.credit}")
    with screen.bar(total=total, unit="B", unit_scale=True) as bar:

        def advance(done: int, total: int) -> None:
            bar.update(done - bar.n)

        folder = fetch_sample(args.name, args.output, progress=advance)
    screen.say(folder)


def _write_phantom(path: Path, overwrite: bool) -> Path:
    """Write the generated stack to a file."""
    with create_volume(
        path,
        _SHAPE,
        np.uint8,
        voxel_size=_VOXEL_SIZE,
        unit="nanometer",
        provenance={"software": f"napari-tsain {__version__}", "generated": "phantom, seed 0"},
        overwrite=overwrite,
    ) as writer:
        for z, image in enumerate(em_phantom(_SHAPE, seed=0)):
            writer.write(z, image)
    return path
