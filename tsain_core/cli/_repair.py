"""The option --repair-mask: only masked pixels are computed."""

from __future__ import annotations

import argparse
import logging

from ..errors import TsainError, argument
from ..inference.intensity import IntensityRange, estimate_range
from ..inference.models import open_model, run_to_end
from ..inspection import inspect_stack
from ..interpolation.selection import format_slices
from ..repairing import RepairMask, find_parts, repair_to_file
from ..volumes import Volume, open_labels, part_of
from ..volumes.files import check_output
from . import _progress as screen
from ._check import checked_model
from ._options import inference_settings, read_volume, request_of
from ._progress import with_progress

logger = logging.getLogger(__name__)

#: What stands for a mask of the parts that are found.
FOUND = "auto"


def add_repair_options(parser: argparse.ArgumentParser) -> None:
    """Which pixels are repaired."""
    group = parser.add_argument_group("repairing parts of slices; all else stays as it is")
    group.add_argument(
        "--repair-mask",
        metavar="MASK",
        help="stack of the same size, of integers: all pixels but 0 are recomputed from the "
        f"neighbouring slices; or {FOUND}: the damaged parts of the slices of --replace, or of "
        "those that `tsain inspect` finds",
    )
    group.add_argument("--mask-dataset", metavar="PATH", help="dataset of a mask in HDF5 or Zarr")


def repair_stack(args: argparse.Namespace) -> None:
    """Repair and write one input.

    Raises
    ------
    TsainError
        If other options do not go with a mask, or the mask does not fit.
    """
    _refuse_others(args)
    volume = read_volume(args)
    check_output(args.output, volume.source, args.overwrite)
    mask = _mask(args, volume)
    name = checked_model(args, volume, len(mask.slices))
    if args.dry_run:
        screen.say(f"{args.output}: {_words(mask)}, by {name}. Nothing was written.")
        return
    model = open_model(name, inference_settings(args))
    intensity = IntensityRange(*args.range) if args.range else estimate_range(volume, model.scaling)
    logger.info("%s: %s, by %s", args.output, _words(mask), model.name)
    events = repair_to_file(
        volume,
        args.output,
        mask,
        model,
        intensity,
        overwrite=args.overwrite,
        compression=args.compression,
    )
    for _ in with_progress(events, len(mask.slices)):
        pass


def _refuse_others(args: argparse.Namespace) -> None:
    given = [
        key
        for key in ("factor", "z_size", "between", "workers", "dask", "memory", "shards")
        if getattr(args, key)
    ]
    if given:
        raise TsainError(
            f"{argument('repair_mask')} writes a stack of the same slices, in this process, so "
            f"{argument(given[0])} does not go with it: repair first, and give the result to a "
            "second run."
        )


def _mask(args: argparse.Namespace, volume: Volume) -> RepairMask:
    damaged = request_of(args).damaged
    if args.repair_mask == FOUND:
        if not damaged:
            damaged = run_to_end(inspect_stack(volume)).damaged
            if not damaged:
                raise TsainError(
                    "No damaged slice was found that has sound ones on both sides, so nothing is "
                    f"to be repaired; name slices with {argument('replace')}, or give a mask."
                )
        return run_to_end(find_parts(volume, damaged))
    labels = open_labels(args.repair_mask, dataset=args.mask_dataset)
    labels = part_of(labels, args.z_range, args.region)
    return RepairMask.of(labels, volume.shape, args.repair_mask).with_whole(damaged)


def _words(mask: RepairMask) -> str:
    """What a mask comes to: "2 slices (12, 57), 3141 pixels, 1 slice (60) as a whole"."""
    whole, partial = mask.whole_slices, mask.partial()
    words = []
    if partial:
        pixels = sum(part.pixels or 0 for part in partial.values())
        words.append(f"{pixels} pixels of {_slices(tuple(partial))}")
    if whole:
        words.append(f"all of {_slices(whole)}")
    return f"recomputing {' and '.join(words)}"


def _slices(slices: tuple[int, ...]) -> str:
    return f"slice{'s' if len(slices) > 1 else ''} {format_slices(slices)}"
