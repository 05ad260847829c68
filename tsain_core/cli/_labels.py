"""The option --labels: a label volume beside the stack goes along with it."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

from ..blockwise import Beside
from ..errors import TsainError, argument
from ..interpolation.request import InterpolationRequest
from ..interpolation.schedule import Schedule
from ..labels import check_labels, labels_in_zarr, labels_to_file
from ..volumes import Volume, open_labels, part_of, with_size
from ..volumes._label_images import LABELS, label_name
from ..volumes.files import check_output
from ..volumes.writer import refuse_source
from ..volumes.zarr_layout import ZarrLayout
from . import _progress as screen

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LabelsAlong:
    """Labels that are interpolated with a stack, and where they go.

    Attributes
    ----------
    labels : Volume
    path : Path
        A file; of labels that lie in the result, their place in it.
    inside : bool
        Whether they lie in the result.
    """

    labels: Volume
    path: Path
    inside: bool

    def beside(self, schedule: Schedule, layout: ZarrLayout) -> Beside:
        """The group "labels" of the result."""
        labels, name = self.labels, self.path.name
        return Beside(LABELS, lambda folder: labels_in_zarr(labels, name, folder, schedule, layout))


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Which labels are interpolated with the stack."""
    group = parser.add_argument_group("labels beside the stack")
    group.add_argument(
        "--labels",
        metavar="LABELS",
        help="label volume of the same size: is interpolated by shape, for the same slices, into "
        "labels/NAME of an OME-Zarr, or NAME-labels beside another file",
    )
    group.add_argument("--labels-dataset", metavar="PATH", help="dataset of it in HDF5 or Zarr")
    group.add_argument(
        "--labels-output", metavar="FILE", help="write them to this file: .tif, .h5 or .zarr"
    )


def labels_of(request: InterpolationRequest, volume: Volume) -> LabelsAlong | None:
    """The labels that go along; None where there are none.

    Raises
    ------
    TsainError
        If they do not fit the stack, or their file cannot be written.
    """
    r = request
    if not r.labels:
        if r.labels_output or r.labels_dataset:
            key = "labels_output" if r.labels_output else "labels_dataset"
            raise TsainError(
                f"{argument(key)} is given, and no labels are: name them with {argument('labels')}."
            )
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
    if r.in_blocks and not r.labels_output:
        refuse_source(output, labels.source)
        name = label_name(r.labels_dataset or r.labels)
        return LabelsAlong(labels, output / LABELS / name, inside=True)
    path = Path(r.labels_output) if r.labels_output else beside(output)
    if path.resolve() == output.resolve() or output.resolve() in path.resolve().parents:
        raise TsainError(
            f"The labels would be written to {path}, over or inside the result {output}; give "
            f"{argument('labels_output')} another name."
        )
    check_output(path, labels.source, r.policy.overwrite)
    return LabelsAlong(labels, path, inside=False)


def beside(output: Path) -> Path:
    """The file of the labels of a result that cannot hold them."""
    ending = ".ome.tif" if output.name.lower().endswith(".ome.tif") else output.suffix
    return output.with_name(f"{output.name[: -len(ending)]}-labels{ending}")


def write_labels(
    request: InterpolationRequest, along: LabelsAlong | None, schedule: Schedule
) -> None:
    """Interpolate and write the labels to a file of their own, if there are any."""
    if along is None:
        return
    if not along.inside:
        overwrite, compression = request.policy.overwrite, request.compression
        work = labels_to_file(
            along.labels, along.path, schedule, overwrite=overwrite, compression=compression
        )
        with screen.bar(total=len(schedule.slices), unit="slice") as bar:
            for done, _ in work:
                bar.update(done - bar.n)
    logger.info("%s: labels of %d slices, by shape", along.path, len(schedule.slices))
