"""From a volume to a file: run a schedule and write the result with its scale and its history."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from .. import __version__
from ..inference.intensity import IntensityRange, estimate_range
from ..inference.models import SliceModel
from ..volumes import PartlyComputed, Volume, create_volume
from ..volumes.volume import VoxelSize
from .interpolate import SliceReady, TileProgress, interpolate
from .schedule import Schedule

_UNWRITTEN = 2  # slices of a result that may wait for the disk


class SliceWriter(Protocol):
    """Takes the slices of a result."""

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write slice `z` (y, x)."""


@dataclass(frozen=True)
class ResultGeometry:
    """Where the result lies: shape (z, y, x), voxel size and offset in the source's unit.

    The voxel size is None along axes that the source does not state, or in all.
    """

    shape: tuple[int, int, int]
    voxel_size: VoxelSize | None
    offset: tuple[float, float, float]


def result_geometry(volume: Volume, schedule: Schedule) -> ResultGeometry:
    """Geometry of a schedule's result: finer in z, its first slice where the source has it."""
    shape = (len(schedule.slices), *volume.shape[1:])
    z, y, x = volume.offset
    if volume.voxel_size is None:
        return ResultGeometry(shape, None, volume.offset)
    dz, dy, dx = volume.voxel_size
    if dz is None:
        return ResultGeometry(shape, volume.voxel_size, volume.offset)
    start = z + float(schedule.slices[0].position) * dz
    return ResultGeometry(shape, (dz * float(schedule.step), dy, dx), (start, y, x))


def synthetic_slices(volume: Volume, schedule: Schedule) -> tuple[int, ...]:
    """Slices of the result that were never acquired: computed now, or already in the source."""
    old = set(volume.synthetic)
    return tuple(i for i, s in enumerate(schedule.slices) if s.synthetic or s.before in old)


def partial_slices(volume: Volume, schedule: Schedule) -> dict[int, PartlyComputed]:
    """Slices of the result that are real but for some pixels, as those of the source are."""
    return {
        i: volume.partial[s.before]
        for i, s in enumerate(schedule.slices)
        if not s.synthetic and s.before in volume.partial
    }


def provenance(
    volume: Volume,
    schedule: Schedule,
    model_provenance: Mapping[str, object],
    intensity: IntensityRange,
) -> dict[str, object]:
    """What the result says about how it was made; JSON-able.

    `model_provenance` is what its model says, `SliceModel.provenance`.
    """
    return {
        "software": f"napari-tsain {__version__}",
        **model_provenance,
        "intensity_range": [intensity.lo, intensity.hi],
        "z_step": str(schedule.step),
        "largest_z_shift": schedule.largest_shift,
        "source": os.path.basename(os.path.normpath(volume.source)),
        **({"source_provenance": volume.provenance} if volume.provenance else {}),
    }


def interpolate_to_file(
    volume: Volume,
    path: str | os.PathLike[str],
    schedule: Schedule,
    model: SliceModel,
    intensity: IntensityRange | None = None,
    *,
    overwrite: bool = False,
    compression: int | None = None,
) -> Generator[TileProgress | SliceReady, None, None]:
    """Compute a schedule and write it, slice by slice.

    The result appears under `path` when it is complete. Closing the generator, an error, or a
    killed process leave nothing there.

    Parameters
    ----------
    volume : Volume
    path : path
        Its suffix tells the format: .tif, .h5 or .zarr. See `interpolate_blockwise`, too.
    schedule : Schedule
    model : SliceModel
    intensity : IntensityRange, optional
        Estimated from the volume by default.
    overwrite : bool
        Replace an existing result, at the end.
    compression : int, optional
        Level, 0 (none) to 9; the format's usual one by default.

    Yields
    ------
    TileProgress or SliceReady
        As `interpolate`; a slice is `SliceReady` when it is written.

    Raises
    ------
    TsainError
        If the result cannot be written, or would overwrite the source.
    """
    intensity = intensity or estimate_range(volume, model.scaling)
    geometry = result_geometry(volume, schedule)
    with create_volume(
        path,
        geometry.shape,
        volume.dtype,
        voxel_size=geometry.voxel_size,
        unit=volume.unit,
        offset=geometry.offset,
        synthetic=synthetic_slices(volume, schedule),
        partial=partial_slices(volume, schedule),
        provenance=provenance(volume, schedule, model.provenance(), intensity),
        overwrite=overwrite,
        source=volume.source,
        compression=compression,
    ) as writer:
        yield from write_slices(interpolate(volume, schedule, model, intensity), writer)


def write_slices(
    events: Iterator[TileProgress | SliceReady], writer: SliceWriter
) -> Generator[TileProgress | SliceReady, None, None]:
    """Write the slices among some events while the next ones are computed.

    Yields
    ------
    TileProgress or SliceReady
        The same events; a slice is `SliceReady` when it is written.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="tsain-write") as thread:
        yield from _written(events, writer, thread)


def _written(
    events: Iterator[TileProgress | SliceReady], writer: SliceWriter, thread: ThreadPoolExecutor
) -> Iterator[TileProgress | SliceReady]:
    """As `write_slices`, in a thread."""
    waiting: deque[tuple[Future[None], SliceReady]] = deque()

    def written(most: int) -> Iterator[SliceReady]:
        while waiting and (len(waiting) > most or waiting[0][0].done()):
            job, event = waiting.popleft()
            job.result()
            yield event

    try:
        for event in events:
            if isinstance(event, SliceReady):
                waiting.append((thread.submit(writer.write, event.index, event.image), event))
                yield from written(_UNWRITTEN)
            else:
                yield from written(_UNWRITTEN)
                yield event
        yield from written(0)
    except BaseException:
        for job, _ in waiting:  # nothing more is to be written to a result that is given up
            job.cancel()
        raise
