"""Uncertainty on disk: a second stack with the result, of the same shape and place."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from ..blockwise.run_store import FOLDER
from ..blockwise.slice_run import SliceRun, stored_settings
from ..errors import TsainError
from ..inference.intensity import IntensityRange
from ..inference.models import SliceModel, model_files, open_model
from ..interpolation.request import InterpolationRequest
from ..interpolation.schedule import Schedule
from ..interpolation.to_file import provenance, result_geometry, synthetic_slices
from ..stack_check.check import Checked
from ..volumes import Volume
from ..volumes._marks import Marks
from ..volumes._publish import remove
from ..volumes.companion import create_companion
from ..volumes.writer import Target
from .calibration import COVERAGE, Calibration, calibration_file, load_calibration
from .left_out import calibrate_on
from .maps import uncertainty_maps

#: Name of the group, dataset or file.
NAME = "uncertainty"
_ENOUGH = 5  # slices of a stack, to calibrate on


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
    target = _target(volume, path.name, schedule, model, calibration, intensity)
    with create_companion(
        path,
        NAME,
        target.shape,
        target.dtype,
        voxel_size=target.voxel_size,
        unit=target.unit,
        offset=target.offset,
        synthetic=target.marks.synthetic,
        provenance=target.marks.provenance,
        overwrite=overwrite,
        compression=compression,
    ) as write:
        for done in uncertainty_maps(volume, schedule, model, calibration, intensity):
            write(done.index, done.image)
            yield Checked(done.index + 1, target.shape[0])


def maps_in_zarr(request: InterpolationRequest, folder: Path) -> Iterator[tuple[int, int]]:
    """Compute the maps of an OME-Zarr that is not finished, into a group that it will have.

    Goes on with the slices that an earlier run has left there.

    Parameters
    ----------
    request : InterpolationRequest
        Of the result, with the model by its name.
    folder : Path
        Of the group.

    Yields
    ------
    (int, int)
        Slices that are there, and of how many.

    Raises
    ------
    TsainError
        If they cannot be calibrated.
    """
    volume = request.open_volume()
    model = open_model(request.model, request.inference.plain)
    schedule = request.schedule(volume, model.any_position)
    intensity = request.intensity_range(volume, model.scaling)
    total = len(schedule.slices)
    old = (stored_settings(folder) or {}).get("calibration")
    calibration = Calibration.from_json(old) if old else None
    if calibration is None:
        search = find_calibration(volume, request.model, model)
        while calibration is None:
            try:
                next(search)
            except StopIteration as end:
                calibration = end.value
            else:
                yield 0, total
    name = Path(request.output.rstrip("/")).name
    target = _target(volume, name, schedule, model, calibration, intensity)
    # the rest of what decides how they come out is that of the run which they belong to
    settings = {"calibration": calibration.to_json()}
    run = SliceRun(folder, target, request.layout, settings)
    there = run.begin(restart=old is None)
    reached = len(there)
    for made in uncertainty_maps(volume, schedule, model, calibration, intensity, there):
        run.write(made.index, made.image)
        reached += 1
        yield reached, total
    run.finish()
    remove(folder / FOLDER)


def _target(
    volume: Volume,
    name: str,
    schedule: Schedule,
    model: SliceModel,
    calibration: Calibration,
    intensity: IntensityRange,
) -> Target:
    """What maps say about themselves; `name` is that of the result."""
    geometry = result_geometry(volume, schedule)
    about = provenance(volume, schedule, model.provenance(), intensity)
    about["uncertainty"] = {
        "of": name,
        "is": f"half the width of the interval that holds {COVERAGE:.0%} of the true grey values",
        "calibration": calibration.to_json(),
    }
    return Target(
        geometry.shape,
        volume.dtype,
        geometry.voxel_size,
        volume.unit,
        geometry.offset,
        Marks(synthetic_slices(volume, schedule), about),
        NAME,
    )
