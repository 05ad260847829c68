"""`tsain demo`: the whole way on a generated stack, or on yours, with pictures and scores."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..evaluation.report import Report, write_report
from ..inference.models import open_model
from ..sample_data.phantom import em_phantom
from ..volumes import open_volume
from . import _progress as screen
from ._check import AUTO, auto_choice
from ._numbers import integer
from ._options import add_model_options, inference_settings
from ._progress import progress_bar

EXAMPLES = """\
  tsain demo
  tsain demo --input ~/stacks/vnc --output report   the same for a stack of yours (uint8)"""

_BASELINES = ("mean", "optical-flow")
_PHANTOM_Z_SCALE = 8.0
_PHANTOM_PIXEL = (5.0, "nanometer")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("--input", help="a stack instead of the generated one; every second "
                        "slice of it is left out and computed")  # fmt: skip
    parser.add_argument("--dataset", help="dataset in an HDF5 or Zarr file")
    parser.add_argument("--output", type=Path, default=Path("demo-report"), help="folder to write")
    parser.add_argument("--seed", type=integer(0), default=0, help="of the generated stack")
    add_model_options(parser, AUTO)


def run(args: argparse.Namespace) -> None:
    """Write the report and print its table."""
    stack: Any
    pixel: tuple[float, str] | None
    if args.input:
        volume = open_volume(args.input, dataset=args.dataset)
        z, _, x = volume.voxel_size or (None, None, None)
        stack, z_scale = volume, (z / x if z and x else 1.0)
        pixel = (x, volume.unit) if x and volume.unit else None
        title = f"Interpolation of {Path(args.input).name}"
    else:
        stack, z_scale = em_phantom((25, 256, 256), seed=args.seed), _PHANTOM_Z_SCALE
        pixel = _PHANTOM_PIXEL
        title = f"Interpolation of a generated EM stack (seed {args.seed})"
    name = auto_choice(args, stack).name if args.model == "auto" else args.model
    models = [open_model(name, inference_settings(args)), *map(open_model, _BASELINES)]
    events = write_report(stack, models, args.output, title=title, z_scale=z_scale, pixel=pixel)
    with progress_bar() as bar:
        for event in events:
            if isinstance(event, Report):
                report = event
                continue
            bar.total = event.total
            bar.update(event.done - bar.n)
    screen.say(report.table)
    screen.say(f"Report: {args.output / 'report.md'}")
