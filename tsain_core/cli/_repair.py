"""The option --repair-mask: only masked pixels are computed."""

from __future__ import annotations

import argparse
import logging

from ..errors import TsainError, argument
from ..inference.models import open_model, run_to_end
from ..inspection import inspect_stack
from ..interpolation.request import FOUND, InterpolationRequest
from ..interpolation.selection import format_slices
from ..repairing import RepairMask, find_parts, repair_to_file
from ..volumes import Volume, open_labels, part_of
from ..volumes.files import check_output
from . import _progress as screen
from ._check import checked_model
from ._progress import with_progress

logger = logging.getLogger(__name__)


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


def repair_stack(args: argparse.Namespace, request: InterpolationRequest) -> None:
    """Repair and write one input.

    Raises
    ------
    TsainError
        If the mask does not fit.
    """
    volume = request.open_volume()
    check_output(request.output, volume.source, request.policy.overwrite)
    mask = _mask(request, volume)
    chosen = checked_model(args, volume, len(mask.slices))
    if args.dry_run:
        screen.say(f"{request.output}: {_words(mask)}, by {chosen.label}. Nothing was written.")
        return
    model = open_model(chosen.name, chosen.settings)
    intensity = request.intensity_range(volume, model.scaling)
    logger.info("%s: %s, by %s", request.output, _words(mask), model.name)
    events = repair_to_file(
        volume,
        request.output,
        mask,
        model,
        intensity,
        overwrite=request.policy.overwrite,
        compression=request.compression,
        restart=request.policy.restart,
    )
    for _ in with_progress(events, len(mask.slices)):
        pass


def _mask(request: InterpolationRequest, volume: Volume) -> RepairMask:
    damaged, path = request.selection.damaged, request.repair_mask
    assert path is not None
    if path == FOUND:
        if not damaged:
            damaged = run_to_end(inspect_stack(volume)).damaged
            if not damaged:
                raise TsainError(
                    "No damaged slice was found that has sound ones on both sides, so nothing is "
                    f"to be repaired; name slices with {argument('replace')}, or give a mask."
                )
        return run_to_end(find_parts(volume, damaged))
    labels = open_labels(path, dataset=request.mask_dataset)
    labels = part_of(labels, request.z_range, request.region)
    return RepairMask.of(labels, volume.shape, path).with_whole(damaged)


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
