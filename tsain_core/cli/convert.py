"""`tsain convert`: weights of the authors' code become a model file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import TsainError
from ..inference.cost import parameter_count
from ..model_files.checkpoint import save
from ..model_files.convert import convert
from . import _progress as screen

EXAMPLES = """\
  tsain convert checkpoint.pth mine.safetensors
  tsain interpolate stack.tif finer.zarr --model mine.safetensors"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("checkpoint", help="file saved by the authors' training code")
    parser.add_argument("output", type=Path, help="model file to write, .safetensors")
    parser.add_argument("--name", help="of the model; default: the output's")
    parser.add_argument("--half", action="store_true", help="store half precision")


def run(args: argparse.Namespace) -> None:
    """Convert and say what came out."""
    if args.output.suffix != ".safetensors":
        raise TsainError(f"The output is {args.output.name}; expected a name on .safetensors.")
    network, info = convert(args.checkpoint, args.name or args.output.stem)
    save(args.output, network, info, half=args.half)
    screen.say(f"{args.output}: {parameter_count(network):,} parameters, {info.settings}")
