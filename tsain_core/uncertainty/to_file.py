"""Uncertainty on disk: a second stack with the result, of the same shape and place."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from ..errors import TsainError
from ..inference.intensity import IntensityRange
from ..inference.models import InferenceSettings, SliceModel, model_files
from ..interpolation.schedule import Schedule
from ..interpolation.to_file import provenance, result_geometry, synthetic_slices
from ..stack_check.check import Checked
from ..volumes import Volume
from ..volumes.companion import create_companion
from .calibration import COVERAGE, Calibration, calibration_file, load_calibration
from .left_out import calibrate_on
from .maps import uncertainty_maps

#: Name of the group, dataset or file.
NAME = "uncertainty"
_ENOUGH = 5  # slices of a stack, to calibrate on


def plain(settings: InferenceSettings) -> InferenceSettings:
    """Settings of the model that maps are computed with: one pass, no detail."""
    return replace(settings, detail=0.0, ensemble=1)


def find_calibration(
    volume: Volume, name: str, model: SliceModel
) -> Generator[Checked, None, Calibration]:
    """The calibration for a stack: by slices of it, or what comes with the model.

    Parameters
    ----------
    volume : Volume
    name : str
        Of the model, as for `open_model`.
    model : SliceModel

    Yields
    ------
    Checked

    Raises
    ------
    TsainError
        If the stack has too few slices, and none comes with the model.
    """
    try:
        own = yield from calibrate_on(volume, model)
    except TsainError as error:
        why = str(error)
    else:
        if own.slices >= _ENOUGH:
            return own
        why = f"Only {own.slices} slices of the stack can be left out."
    file = calibration_file(model_files().get(name, Path(name)))
    if file.is_file():
        return load_calibration(file)
    raise TsainError(
        f"The uncertainty cannot be calibrated: {why} At least {_ENOUGH} are required, or a model "
        "that comes with a calibration: choose tsain-lite, or take a deeper part of the stack."
    )


def write_uncertainty(
    volume: Volume,
    path: Path,
    schedule: Schedule,
    model: SliceModel,
    calibration: Calibration,
    intensity: IntensityRange,
    *,
    overwrite: bool = False,
    compression: int | None = None,
) -> Generator[Checked, None, None]:
    """Compute the maps of a result that is complete, and write them.

    Parameters
    ----------
    volume : Volume
        The source.
    path : Path
        The result.
    schedule : Schedule
    model : SliceModel
        With `plain` settings.
    calibration : Calibration
    intensity : IntensityRange
    overwrite : bool
        Replace the file beside a TIFF.
    compression : int, optional
        Level, 0 (none) to 9.

    Yields
    ------
    Checked
        Slices of the result; closing the generator leaves the result without maps.
    """
    geometry = result_geometry(volume, schedule)
    about = provenance(volume, schedule, model.provenance(), intensity)
    about["uncertainty"] = {
        "of": path.name,
        "is": f"half the width of the interval that holds {COVERAGE:.0%} of the true grey values",
        "calibration": calibration.to_json(),
    }
    with create_companion(
        path,
        NAME,
        geometry.shape,
        volume.dtype,
        voxel_size=geometry.voxel_size,
        unit=volume.unit,
        offset=geometry.offset,
        synthetic=synthetic_slices(volume, schedule),
        provenance=about,
        overwrite=overwrite,
        compression=compression,
    ) as write:
        for done in uncertainty_maps(volume, schedule, model, calibration, intensity):
            write(done.index, done.image)
            yield Checked(done.index + 1, geometry.shape[0])
