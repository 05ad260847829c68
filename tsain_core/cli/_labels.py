"""The option --labels: a label volume beside the stack goes along with it."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ..errors import TsainError, argument
from ..interpolation.request import InterpolationRequest
from ..interpolation.schedule import Schedule
from ..labels import check_labels, labels_to_file
from ..volumes import Volume, open_labels, part_of, with_size
from ..volumes.files import check_output
from . import _progress as screen

logger = logging.getLogger(__name__)


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Which labels are interpolated with the stack."""
    group = parser.add_argument_group("labels beside the stack")
    group.add_argument(
        "--labels",
        metavar="LABELS",
        help="label volume of the same size: is interpolated by shape, for the same slices, into "
        "NAME-labels beside the result",
    )
    group.add_argument("--labels-dataset", metavar="PATH", help="dataset of it in HDF5 or Zarr")


def labels_of(request: InterpolationRequest, volume: Volume) -> tuple[Volume, Path] | None:
    """The labels that go along, and the file that they go to; None where there are none.

    Raises
    ------
    TsainError
        If they do not fit the stack, or that file cannot be written.
    """
    r = request
    if not r.labels:
        return None
    if "://" in r.output:
        raise TsainError(
            f"{argument('labels')} writes a file beside the result, and {r.output} is remote: "
            "write the result to this machine, or leave the labels out."
        )
    labels = open_labels(r.labels, dataset=r.labels_dataset)
    labels = part_of(with_size(labels, r.voxel_size, r.unit), r.z_range, r.region)
    check_labels(labels, volume.shape, r.labels)
    output = Path(r.output.rstrip("/"))
    ending = ".ome.tif" if output.name.lower().endswith(".ome.tif") else output.suffix
    path = output.with_name(f"{output.name[: -len(ending)]}-labels{ending}")
    check_output(path, labels.source, r.policy.overwrite)
    return labels, path


def write_labels(
    request: InterpolationRequest, along: tuple[Volume, Path] | None, schedule: Schedule
) -> None:
    """Interpolate and write the labels, if there are any."""
    if along is None:
        return
    labels, path = along
    overwrite, compression = request.policy.overwrite, request.compression
    work = labels_to_file(labels, path, schedule, overwrite=overwrite, compression=compression)
    with screen.bar(total=len(schedule.slices), unit="slice") as bar:
        for done, _ in work:
            bar.update(done - bar.n)
    logger.info("%s: labels of %d slices, by shape", path, len(schedule.slices))
