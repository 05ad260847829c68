"""Everything that is to be said of a run, in one object: of the command, the dock and Python.

A plan of a run block by block holds it, and so does the file that lets the run go on.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TsainError, argument
from ..inference.intensity import IntensityRange, Scaling, estimate_range
from ..inference.models import InferenceSettings
from ..system.records import Record
from ..volumes import Volume, open_volume, part_of, with_size
from ..volumes.volume import Triple
from ..volumes.zarr_layout import ZarrLayout, default_version
from .schedule import Schedule
from .selection import SliceSelection

#: What stands for a mask of the parts that are found.
FOUND = "auto"
#: Threads of a process, and processes on one machine.
MOST_THREADS, MOST_WORKERS = 1024, 256


@dataclass(frozen=True)
class RunPolicy(Record):
    """What to do about earlier results and failures.

    Attributes
    ----------
    overwrite : bool
        Replace an existing result, at the end.
    restart : bool
        Forget what an unfinished run left.
    leave_out_failed : bool
        Finish although blocks failed: they hold the fill value, and the output says which.
    accept_changed_input : bool
        Go on although the input's files have changed: damaged ones were mended.
    """

    overwrite: bool = False
    restart: bool = False
    leave_out_failed: bool = False
    accept_changed_input: bool = False


@dataclass(frozen=True)
class Cluster(Record):
    """Where blocks are computed.

    Attributes
    ----------
    workers : int
        Processes on this machine; 0 is this process itself.
    address : str or None
        Of a Dask scheduler, such as tcp://host:8786, or the path of its scheduler file.
    """

    workers: int = 0
    address: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= MOST_WORKERS:
            raise TsainError(
                f"{self.workers} workers cannot be used; choose 0 to {MOST_WORKERS} "
                f"({argument('workers')})."
            )
        if self.workers and self.address:
            raise TsainError(
                f"{argument('workers')} and {argument('dask')} both say where to compute; give "
                "one of them."
            )


#: This process; nothing replaced, forgotten or left out.
HERE, CAREFUL = Cluster(), RunPolicy()


@dataclass(frozen=True)
class InterpolationRequest(Record):
    """Input, output and settings of a run.

    Attributes
    ----------
    source : str
        Path or URL; empty for a stack that is in no file.
    output : str
        Path or URL; an OME-Zarr is made block by block, other files slice by slice. Empty keeps
        the result in memory.
    dataset : str or None
        Path inside the source.
    voxel_size, unit
        Given by hand, where the source does not have them.
    selection : SliceSelection
        Which slices.
    model : str
        Name or file; "auto" takes the best for the stack.
    inference : InferenceSettings
    intensity : (lo, hi) or None
        Grey values that become 0 and 1; None estimates them.
    layout : ZarrLayout
        Of an OME-Zarr.
    memory : int or None
        Bytes that a process may take; None takes 60 % of what is free.
    threads : int or None
        That a process computes with on CPU; None takes torch's own number. The last bit of a sum
        may depend on it, and with it once in a million voxels the grey value, so it stays the same
        for all of a run.
    z_range, region
        The part of the source that is taken: see `tsain_core.volumes.part_of`. The selection
        counts slices in this part.
    repair_mask, mask_dataset : str or None
        Stack of integers whose pixels but 0 are all that is computed, and the path in its file; or
        `FOUND` for the damaged parts of the slices to replace, or of those that are found.
    labels, labels_dataset : str or None
        Label volume that is interpolated beside the stack, and the path in its file.
    labels_output : str or None
        File that the labels go to; None puts them in a result that is an OME-Zarr, and beside
        others.
    uncertainty : bool
        Whether maps of uncertainty are written with the result.
    mix : bool
        Whether the `mean_shares`, `own_shares` and `brightness_slices` of `inference` are still to
        be found on the stack.
    compression : int or None
        Level of a TIFF or HDF5 file, 0 to 9; None is the format's usual one.
    policy : RunPolicy
    cluster : Cluster
    """

    source: str
    output: str
    dataset: str | None = None
    voxel_size: Triple | None = None
    unit: str | None = None
    selection: SliceSelection = SliceSelection()
    model: str = "auto"
    inference: InferenceSettings = InferenceSettings()
    intensity: tuple[float, float] | None = None
    layout: ZarrLayout = ZarrLayout(default_version())
    memory: int | None = None
    threads: int | None = None
    z_range: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None
    compression: int | None = None
    repair_mask: str | None = None
    mask_dataset: str | None = None
    labels: str | None = None
    labels_dataset: str | None = None
    labels_output: str | None = None
    uncertainty: bool = False
    mix: bool = False
    policy: RunPolicy = CAREFUL
    cluster: Cluster = HERE

    def __post_init__(self) -> None:
        if self.memory is not None and self.memory < 1:
            raise TsainError(
                f"The memory bound is {self.memory} bytes; it must be positive "
                f"({argument('memory')})."
            )
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise TsainError(
                f"{self.threads} threads cannot be used; choose 1 to {MOST_THREADS} "
                f"({argument('threads')})."
            )
        if self.compression is not None and not 0 <= self.compression <= 9:
            raise TsainError(
                f"The compression level is {self.compression}; choose 0 to 9 "
                f"({argument('compression')})."
            )
        if self.mix and self.inference.mixes:
            raise TsainError(
                f"{argument('mix')} finds what {argument('mean_shares')}, "
                f"{argument('own_shares')} and {argument('brightness_slices')} say; give either."
            )
        if self.repair_mask:
            self._refuse_with_mask()
        elif self.inference.adjusts:
            self._refuse_with_adjusting()
        if self.uncertainty:
            self._refuse_with_maps()

    @property
    def _of_blocks(self) -> dict[str, object]:
        """Options of runs block by block."""
        return {
            "workers": self.cluster.workers,
            "dask": self.cluster.address,
            "memory": self.memory,
            "shards": self.layout.shards,
        }

    def _refuse_with_adjusting(self) -> None:
        """Pairs are aligned or matched in whole slices, slice by slice, in this process."""
        given = [key for key, value in self._of_blocks.items() if value]
        if given or "://" in self.output:
            what = f"{argument(given[0])} does" if given else "a remote result does"
            raise TsainError(
                f"Pairs are aligned or matched in whole slices, in this process, so {what} not go "
                f"with it: leave out {argument('align')} and {argument('match_brightness')}, or "
                "write a file here."
            )

    def _refuse_with_mask(self) -> None:
        """Parts of slices are repaired in a stack that stays as it is, in this process."""
        others = {
            "factor": self.selection.factor,
            "z_size": self.selection.z_size,
            "between": self.selection.between,
            **self._of_blocks,
            "labels": self.labels,
        }
        given = [key for key, value in others.items() if value]
        if given:
            raise TsainError(
                f"{argument('repair_mask')} writes a stack of the same slices, in this process, so "
                f"{argument(given[0])} does not go with it: repair first, and give the result to a "
                "second run."
            )

    def _refuse_with_maps(self) -> None:
        """Maps are computed slice by slice, in this process, of whole slices."""
        keys = {"repair_mask": self.repair_mask, "dask": self.cluster.address}
        found = next((argument(key) for key, value in keys.items() if value), None)
        if "://" in self.output:
            found = self.output
        if found:
            raise TsainError(
                f"Maps of uncertainty are of whole slices, computed in this process, and written "
                f"to a local result, so {found} does not go with {argument('uncertainty')}: leave "
                "one of them out."
            )

    @property
    def in_blocks(self) -> bool:
        """Whether the result is made block by block: it is an OME-Zarr of whole slices."""
        if self.repair_mask:
            return False
        return self.output.rstrip("/").lower().endswith(".zarr") or "://" in self.output

    def open_volume(self) -> Volume:
        """The source, with what was given by hand."""
        volume = open_volume(self.source, dataset=self.dataset)
        if volume.labels:
            raise TsainError(
                f"{self.source} holds labels, of which no mean may be taken; give the stack that "
                f"they belong to, and these with {argument('labels')}."
            )
        return part_of(with_size(volume, self.voxel_size, self.unit), self.z_range, self.region)

    def schedule(self, volume: Volume, any_position: bool) -> Schedule:
        """All slices of the output."""
        return self.selection.schedule(volume.shape[0], volume.voxel_z, any_position)

    def intensity_range(self, volume: Volume, scaling: Scaling) -> IntensityRange:
        """The grey values that become 0 and 1: as given, or estimated."""
        if self.intensity is not None:
            return IntensityRange(*self.intensity)
        return estimate_range(volume, scaling)
