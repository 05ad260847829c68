"""An EM stack: lazy grey values, and what is known of where they lie and where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError
from ..system.memory import available_memory
from ._partial import PartlyComputed

if TYPE_CHECKING:
    from ._missing import MissingChunks

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
#: (z, y, x); None for an axis of which nothing is stated.
VoxelSize = tuple[float | None, float | None, float | None]

#: dtypes that are read and written.
DTYPES = ("uint8", "uint16", "int16", "float32")


#: dtypes of masks and label volumes.
LABEL_DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64"),
    *("int8", "int16", "int32", "int64"),
)
_accepted: ContextVar[tuple[str, ...]] = ContextVar("_accepted", default=DTYPES)


def accepted_dtypes() -> tuple[str, ...]:
    """Names of the dtypes that are read as a stack here."""
    return _accepted.get()


@contextmanager
def accepting_labels() -> Iterator[None]:
    """Within it, readers take integers of any size for a stack, and no floats."""
    token = _accepted.set(LABEL_DTYPES)
    try:
        yield
    finally:
        _accepted.reset(token)


#: Bytes that are read without a look at the free memory.
_SMALL = 256 << 20


@dataclass(frozen=True, eq=False)
class Volume:
    """A stack, read when it is used.

    Attributes
    ----------
    data : dask array (z, y, x)
        uint8, uint16, int16 or float32; of labels any integers.
    voxel_size : (z, y, x) or None
        In `unit`; None for an axis that the file does not state, and in all where it states none.
    unit : str or None
        As OME spells it: "nanometer", "micrometer".
    offset : (z, y, x)
        World position of voxel 0, in `unit`.
    synthetic : tuple of int
        z indices of slices that were computed, not acquired.
    partial : dict
        z of a slice that is real but for some pixels -> `PartlyComputed`.
    provenance : dict
        How they were computed; JSON-able.
    digests : dict
        z of a computed slice -> digest of its grey values, where the file has them.
    source : str
        Path it was read from.
    format : str
        Name of the file format, for people.
    dataset : str or None
        Path inside the file.
    missing_chunks : MissingChunks or None
        Finds chunks that were never written, where the format can leave them out.
    labels : bool
        Whether the file says that these are numbers of objects: a label image of an OME-Zarr.
    """

    data: da.Array
    voxel_size: VoxelSize | None = None
    unit: str | None = None
    offset: Triple = (0.0, 0.0, 0.0)
    synthetic: tuple[int, ...] = ()
    partial: dict[int, PartlyComputed] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)
    source: str = ""
    format: str = ""
    dataset: str | None = None
    missing_chunks: MissingChunks | None = field(default=None, repr=False)
    labels: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x) in voxels."""
        z, y, x = self.data.shape
        return int(z), int(y), int(x)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the grey values."""
        dtype: np.dtype[Any] = self.data.dtype
        return dtype

    @property
    def computed(self) -> tuple[int, ...]:
        """z indices of slices that were computed, as a whole or in part."""
        return tuple(sorted({*self.synthetic, *self.partial}))

    @property
    def voxel_z(self) -> float | None:
        """Distance of slices in `unit`; None where it is not stated."""
        return self.voxel_size[0] if self.voxel_size else None

    def __getitem__(self, z: int) -> NDArray[Any]:
        """Slice `z` as a numpy array (y, x)."""
        check_room(self.shape[1:], self.dtype)
        image: NDArray[Any] = _read(self.data[z])
        return image

    def read(self, z: slice, y: slice, x: slice) -> NDArray[Any]:
        """A box as a numpy array (z, y, x)."""
        part = self.data[z, y, x]
        check_room(part.shape, self.dtype)
        box: NDArray[Any] = _read(part)
        return box

    def missing(
        self, image: NDArray[Any], z: int, y0: int = 0, x0: int = 0
    ) -> NDArray[np.bool_] | None:
        """Where pixels of a crop (y, x) of slice `z` were never written; None: nowhere."""
        return self.missing_chunks.mask(image, z, y0, x0) if self.missing_chunks else None

    @property
    def chunks(self) -> Shape:
        """(z, y, x) of what is read at once."""
        z, y, x = (int(max(sizes)) for sizes in self.data.chunks)  # a part may begin within one
        return z, y, x


def _read(part: da.Array) -> NDArray[Any]:
    """A part of a stack as a numpy array, read in this thread.

    By the function itself: by the scheduler's name, Dask would import `distributed` first, where it
    is installed, which takes a third of a second.
    """
    return np.asarray(part.compute(scheduler=dask.get))


def check_room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse to read more at once than there is memory: a header may claim what it likes."""
    size = prod(shape) * dtype.itemsize
    if size > _SMALL and size > (room := available_memory()):
        raise TsainError(
            f"{' x '.join(map(str, shape))} voxels take {size / 2**30:.1f} GiB, and "
            f"{room / 2**30:.1f} GiB of memory are free; crop the stack, or use a bigger machine."
        )


def check_stack(shape: tuple[int, ...], dtype: Any, name: str) -> None:
    """Refuse what is no grey stack of a dtype we keep.

    Raises
    ------
    TsainError
        In one line: what was found, what is needed, the remedy.
    """
    size = " x ".join(str(n) for n in shape) or "single"
    found = f"{name} holds {size} values of {np.dtype(dtype).name}"
    if len(shape) in (3, 4) and shape[-1] in (3, 4) and np.dtype(dtype).itemsize <= 2:
        raise TsainError(
            f"{found}, a colour image; expected a grey stack (z, y, x): convert it to 8-bit grey."
        )
    if len(shape) == 2:
        raise TsainError(
            f"{found}, a single image; expected a stack (z, y, x) of at least 2 slices: give the "
            "folder of the slices, or a multi-page file."
        )
    if len(shape) != 3:
        raise TsainError(
            f"{found}; expected a stack (z, y, x): choose one channel and time point and save it."
        )
    if 0 in shape:
        raise TsainError(f"{found}: it is empty; expected at least 2 slices: write it again.")
    accepted = _accepted.get()
    if np.dtype(dtype).newbyteorder("=").name not in accepted:
        if accepted == LABEL_DTYPES:
            raise TsainError(
                f"{found}; labels are integers: convert it to uint32, or choose another."
            )
        hint = {"c": "take its magnitude", "b": "it looks like a mask; give the grey image"}
        remedy = hint.get(np.dtype(dtype).kind, "convert it to one of these")
        raise TsainError(f"{found}; expected {', '.join(DTYPES)}: {remedy}.")
