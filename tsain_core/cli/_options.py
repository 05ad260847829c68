"""Options that several subcommands take, and what they stand for."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import TsainError
from ..inference.brightness import MOST_SLICES
from ..inference.mixing import LEAST, MOST
from ..inference.models import ENSEMBLES, InferenceSettings
from ..inference.models.settings import LARGEST_SIDE, SMALLEST_TILE
from ..interpolation.schedule import LARGEST_FACTOR, parse_slices
from ..volumes import Volume, open_volume, part_of, with_size
from ._numbers import integer, real
from .wording import as_option


def add_volume_options(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """The input stack, or several, and what its file may not say."""
    parser.add_argument(
        "input",
        nargs="+" if several else None,
        help="stack: TIFF, folder of slices, HDF5, Zarr, OME-Zarr, MRC; with an extra DM3, DM4, "
        "NRRD, N5, Neuroglancer precomputed, WEBKNOSSOS",
    )
    parser.add_argument("--dataset", help="dataset in an HDF5 or Zarr file, such as volumes/raw")
    parser.add_argument(
        "--voxel-size",
        nargs=3,
        type=real(),
        metavar=("Z", "Y", "X"),
        help="voxel size, if the file does not have it or has it wrong",
    )
    parser.add_argument("--unit", help="unit of voxel sizes, such as nanometer")


def add_part_options(parser: argparse.ArgumentParser) -> None:
    """Which part of the input is taken."""
    group = parser.add_argument_group("which part of the stack to take (all by default)")
    group.add_argument(
        "--z-range",
        nargs=2,
        type=integer(0),
        metavar=("FIRST", "END"),
        help="slices FIRST to END - 1, counted from 0; other options count them as the whole "
        "stack does",
    )
    group.add_argument(
        "--region",
        nargs=4,
        type=integer(0),
        metavar=("Y0", "Y1", "X0", "X1"),
        help="rows Y0 to Y1 - 1 and columns X0 to X1 - 1, in voxels",
    )


def read_volume(args: argparse.Namespace) -> Volume:
    """The input stack or the part of it, with the voxel size given by hand if one is."""
    volume = with_size(open_volume(args.input, dataset=args.dataset), args.voxel_size, args.unit)
    return part_of(volume, getattr(args, "z_range", None), getattr(args, "region", None))


def add_schedule_options(parser: argparse.ArgumentParser) -> None:
    """What to compute."""
    group = parser.add_argument_group("what to compute (twice as many slices by default)")
    group.add_argument(
        "--factor", type=integer(2, LARGEST_FACTOR), help="slices: 2 to 16 times as many"
    )
    group.add_argument(
        "--z-size", type=real(), help="or the z voxel size wanted, in the volume's unit"
    )
    group.add_argument(
        "--replace",
        type=parse_slices_option,
        default=(),
        metavar="12,57-59",
        help="damaged slices to recompute from their neighbours, counted from 0; alone or "
        "together with --factor or --z-size",
    )
    group.add_argument(
        "--between",
        nargs=2,
        type=integer(0),
        metavar=("A", "B"),
        help="only slices A to B, with --factor minus one computed ones in each gap",
    )


def parse_slices_option(text: str) -> tuple[int, ...]:
    """`parse_slices` for argparse, which shows the message of this error only."""
    try:
        return parse_slices(text)
    except TsainError as error:
        raise argparse.ArgumentTypeError(error.worded(as_option)) from error


def add_model_options(
    parser: argparse.ArgumentParser, auto: str = "the best for the device", several: bool = False
) -> None:
    """Which model, or models, what `auto` means, and how it is run."""
    again: dict[str, Any] = {"action": "append"} if several else {"default": "auto"}
    more = "; may be given several times" if several else ""
    parser.add_argument(
        "--model",
        help=f"name from `tsain models`, or a model file{more}; default: auto, {auto}",
        **again,
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument(
        "--tile",
        type=integer(SMALLEST_TILE, LARGEST_SIDE),
        help="side of the tiles in pixels; default: by memory",
    )
    parser.add_argument(
        "--halo",
        type=integer(0, LARGEST_SIDE),
        help="pixels read around a tile; default: as far as the network looks",
    )
    _add_finishing_options(parser)
    parser.add_argument(
        "--ensemble",
        type=int,
        choices=ENSEMBLES,
        default=1,
        help="passes over turned and mirrored slices to average: better, so many times slower",
    )
    parser.add_argument(
        "--align",
        action="store_true",
        help="move the two slices onto each other, by whole pixels, for what is computed from them",
    )
    parser.add_argument(
        "--match-brightness",
        action="store_true",
        help="give what is computed a brightness and contrast between those of the two slices",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the network first: slow to start, faster for long runs on CUDA cards",
    )


def _add_finishing_options(parser: argparse.ArgumentParser) -> None:
    """What is done with slices that the network computed."""
    parser.add_argument(
        "--mean-shares",
        nargs="+",
        type=real(LEAST, MOST, open_at_least=False),
        metavar="SHARE",
        help="up to three shares of the mean of neighbours, in what is finer than 1, 2 and 4 "
        "pixels: what --mix found",
    )
    parser.add_argument(
        "--own-shares",
        nargs=2,
        type=real(0.0, MOST, open_at_least=False),
        default=(0.0, 0.0),
        metavar=("FINE", "MIDDLE"),
        help="by how much of itself a computed slice's detail finer than 1 and 2 pixels is raised: "
        "what --mix found",
    )
    parser.add_argument(
        "--brightness-slices",
        type=integer(1, MOST_SLICES),
        default=1,
        metavar="N",
        help="give computed slices the brightness of N slices on each side instead of the pair's: "
        "for stacks whose brightness jumps; --mix finds how many",
    )
    parser.add_argument(
        "--detail",
        type=real(0.0, 1.0, open_at_least=False),
        default=0.0,
        metavar="SHARE",
        help="of the real slices' fine detail that computed ones get, 0 to 1: sharper, not truer",
    )


def inference_settings(args: argparse.Namespace) -> InferenceSettings:
    """How a network is run, from the options."""
    return InferenceSettings(
        args.device,
        args.precision,
        args.tile,
        args.halo,
        args.compile,
        mean_shares=tuple(args.mean_shares) if args.mean_shares else None,
        own_shares=tuple(args.own_shares),
        brightness_slices=args.brightness_slices,
        detail=args.detail,
        ensemble=args.ensemble,
        align=args.align,
        match_brightness=args.match_brightness,
    )
