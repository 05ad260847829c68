"""`tsain interpolate`: from a stack to a finer or repaired one."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from functools import partial

from ..blockwise import Beside, interpolate_blockwise
from ..errors import TsainError
from ..inference.models import BASELINES, any_position, open_model
from ..interpolation.request import InterpolationRequest
from ..interpolation.schedule import evaluations
from ..interpolation.to_file import interpolate_to_file, result_geometry, synthetic_slices
from ..uncertainty import NAME, maps_in_zarr
from ..volumes import Volume
from ..volumes.files import check_output
from . import _progress as screen
from ._blockwise import (
    add_compression_option,
    add_layout_options,
    add_run_options,
    follow,
)
from ._check import AUTO, add_check_option, add_mix_option, checked_model
from ._labels import add_label_options, labels_of, write_labels
from ._options import (
    add_model_options,
    add_part_options,
    add_schedule_options,
    add_volume_options,
)
from ._pairs import tell_of_pairs
from ._progress import with_progress
from ._repair import add_repair_options, repair_stack
from ._request import cluster_of, policy_of, request_of
from ._several import for_each_input
from ._uncertainty import add_maps, add_uncertainty_option, check_maps

logger = logging.getLogger(__name__)

EXAMPLES = """\
  tsain interpolate stack.tif finer.zarr                     twice as many slices
  tsain interpolate cremi.h5 finer.h5 --factor 4             four times as many
  tsain interpolate stack.mrc iso.zarr --z-size 10           10 nm between slices
  tsain interpolate slices/ repaired.tif --replace 12,57-59  recompute damaged slices
  tsain interpolate stack.tif pair.tif --between 12 15       what lies between two slices
  tsain interpolate a.tif b.h5 c.zarr finer/                 one OME-Zarr of each in a folder
  tsain interpolate *.tif 'finer/{name}-x2.tif'              names as you like them
  tsain interpolate big.zarr part.tif --z-range 100 200 --region 0 512 0 512
                                                             a part, to try something on
  tsain interpolate stack.tif finer.zarr --uncertainty       and how far grey values may be off
  tsain interpolate stack.tif mean.tif --model mean          the mean of neighbours, to compare
  tsain interpolate big.zarr finer.zarr --memory 4GiB        larger than memory; repeat to go on
  tsain interpolate s3://b/in.zarr s3://b/out.zarr --dask tcp://host:8786"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    add_volume_options(parser, several=True)
    parser.add_argument(
        "output",
        help="result: .tif, .h5, .zarr (OME-Zarr with a pyramid); for several inputs a folder, "
        "which gets an OME-Zarr of each, or a name with {name} in it: out/{name}-finer.tif",
    )
    add_part_options(parser)
    add_schedule_options(parser)
    add_repair_options(parser)
    add_label_options(parser)
    add_model_options(parser, AUTO)
    add_mix_option(parser)
    add_check_option(parser)
    add_uncertainty_option(parser)
    parser.add_argument(
        "--range",
        nargs=2,
        type=float,
        metavar=("LO", "HI"),
        help="grey values taken as black and white; default: percentiles of the stack",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing result")
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything, say what would be done, and stop"
    )
    add_compression_option(parser)
    add_layout_options(parser)
    add_run_options(parser)


def run(args: argparse.Namespace) -> None:
    """Interpolate and write, one input after the other."""
    for_each_input(args, _interpolate)


def _interpolate(args: argparse.Namespace) -> None:
    """OME-Zarr block by block, the others slice by slice."""
    request = replace(
        request_of(args, args.output), policy=policy_of(args), cluster=cluster_of(args)
    )
    check_maps(request)
    if request.repair_mask:
        repair_stack(args, request)
    elif args.dry_run:
        _dry_run(args, request)
    elif request.in_blocks:
        _in_blocks(args, request)
    elif args.workers or args.dask or args.memory or args.shards:
        raise TsainError(
            f"{args.output} is written slice by slice, in this process, and --workers, --dask, "
            f"--memory and --shards are for an OME-Zarr that is made block by block: give it a "
            "name that ends in .zarr."
        )
    else:
        _slice_by_slice(*_with_checked_model(args, request))


def _in_blocks(args: argparse.Namespace, request: InterpolationRequest) -> None:
    if args.dask:  # whose workers may be the only ones that reach the stack
        if request.labels:
            raise TsainError("--labels are interpolated here, and --dask elsewhere; give one.")
        follow(interpolate_blockwise(request), request.output)
        return
    request, volume = _with_checked_model(args, request)
    along = labels_of(request, volume)
    schedule = request.schedule(volume, any_position(request.model))
    tell_of_pairs(volume, schedule, request.inference)
    groups = [along.beside(schedule, request.layout)] if along and along.inside else []
    if request.uncertainty:
        groups.append(Beside(NAME, partial(maps_in_zarr, request)))
    # with labels and maps and without it is the same run: they are made when its blocks are done
    plain = replace(request, uncertainty=False, labels=None, labels_dataset=None)
    plain = replace(plain, labels_output=None)
    follow(interpolate_blockwise(plain, beside=groups), request.output)
    write_labels(request, along, schedule)
    if request.uncertainty:
        logger.info("Uncertainty (90 %% intervals): %s/%s", request.output.rstrip("/"), NAME)


def _slice_by_slice(request: InterpolationRequest, volume: Volume) -> None:
    along = labels_of(request, volume)
    model = open_model(request.model, request.inference)
    schedule = request.schedule(volume, model.any_position)
    tell_of_pairs(volume, schedule, request.inference)
    intensity = request.intensity_range(volume, model.scaling)
    geometry = result_geometry(volume, schedule)
    logger.info(
        "%s: %d slices, %d of them synthetic, by %s (intensities %g to %g)",
        request.output,
        geometry.shape[0],
        len(synthetic_slices(volume, schedule)),
        model.name,
        intensity.lo,
        intensity.hi,
    )
    if schedule.largest_shift:
        logger.info(
            "Slices lie up to %.3f source slices from their exact place: the network halves gaps.",
            schedule.largest_shift,
        )
    events = interpolate_to_file(
        volume,
        request.output,
        schedule,
        model,
        intensity,
        overwrite=request.policy.overwrite,
        compression=request.compression,
    )
    for _ in with_progress(events, evaluations(schedule, model.any_position)):
        pass
    write_labels(request, along, schedule)
    if request.uncertainty:
        add_maps(request)


def _dry_run(args: argparse.Namespace, request: InterpolationRequest) -> None:
    """What `run` would do, as far as it can be known without computing."""
    request, volume = _with_checked_model(args, request)
    model = open_model(request.model, request.inference)
    schedule = request.schedule(volume, model.any_position)
    screen.say(
        f"{request.output}: {len(schedule.slices)} slices, {len(schedule.synthetic)} of them "
        f"synthetic, by {model.name}. Nothing was written."
    )


def _with_checked_model(
    args: argparse.Namespace, request: InterpolationRequest
) -> tuple[InterpolationRequest, Volume]:
    """The request with the model to be used, and its stack."""
    volume = request.open_volume()
    if args.dry_run and "://" not in request.output:
        check_output(request.output, volume.source, request.policy.overwrite)
    computed = len(request.schedule(volume, request.model in BASELINES).synthetic)
    chosen = checked_model(args, volume, computed)
    settled = replace(request, model=chosen.name, inference=chosen.settings, mix=False)
    return settled, volume
