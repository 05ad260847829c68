"""The option `--uncertainty`: maps with a result."""

from __future__ import annotations

import argparse
import logging
from contextlib import closing
from pathlib import Path

from ..errors import TsainError, argument
from ..inference.models import open_model
from ..interpolation.request import InterpolationRequest
from ..uncertainty import NAME, find_calibration, write_uncertainty
from ..volumes.companion import companion_path
from . import _progress as screen
from ._check import with_bar

logger = logging.getLogger(__name__)


def add_uncertainty_option(parser: argparse.ArgumentParser) -> None:
    """Whether maps are computed."""
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write how far each computed grey value may be off: half the width of its 90 %% "
        "interval, calibrated on slices of the stack; takes two more passes a slice",
    )


def check_maps(request: InterpolationRequest) -> None:
    """Refuse maps that could not be written in the end, before the time is spent.

    Raises
    ------
    TsainError
        If a file has their name and may not be replaced.
    """
    if not request.uncertainty:
        return
    result = Path(request.output)
    beside = companion_path(result, NAME)
    own_file = beside.parent == result.parent and beside != result
    if own_file and beside.exists() and not request.policy.overwrite:
        raise TsainError(
            f"{beside} exists; choose another name for the result, or replace both with "
            f"{argument('overwrite')}."
        )


def add_maps(request: InterpolationRequest) -> None:
    """Compute the maps of a result that is complete, and write them."""
    volume = request.open_volume()
    model = open_model(request.model, request.inference.plain)
    schedule = request.schedule(volume, model.any_position)
    intensity = request.intensity_range(volume, model.scaling)
    found = with_bar(find_calibration(volume, request.model, model), "Calibrating uncertainty")
    path = Path(request.output)
    work = write_uncertainty(
        volume,
        path,
        schedule,
        model,
        found,
        intensity,
        overwrite=request.policy.overwrite,
        compression=request.compression,
    )
    with closing(work), screen.progress_bar(len(schedule.slices)) as bar:
        for event in work:
            bar.update(event.done - bar.n)
    where = companion_path(path, NAME)
    logger.info("Uncertainty (90 %% intervals, calibrated on %s): %s", found.origin, where)
