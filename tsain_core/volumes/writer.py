"""Writing a result: complete under its name, or not there at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, argument
from ._lock import OutputLock
from ._marks import Marks, slice_digest
from ._publish import cannot_write, check_replaceable, clear_away, partial_path, publish, remove
from .volume import Triple, VoxelSize


@dataclass(frozen=True)
class Target:
    """What is to be written.

    `name` is the one that the result will have; `compression` is the level, 0 (none) to 9, by
    default the format's own. `labels` are numbers of objects, of which no mean may be taken.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    voxel_size: VoxelSize | None
    unit: str | None
    offset: Triple
    marks: Marks
    name: str = ""
    compression: int | None = None
    labels: bool = False

    @property
    def stamped_marks(self) -> Marks:
        """The marks, with the number of slices that they are for."""
        return replace(self.marks, depth=self.shape[0])


class Sink(Protocol):
    """A file being written, one slice at a time."""

    #: whether slices may come in any order
    any_order: bool

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write slice `z`."""

    def mark(self, marks: Marks) -> None:
        """Write the marks again, with the digests of the slices, if the format can."""

    def close(self) -> None:
        """Finish the file."""


class VolumeWriter:
    """A result in the making; use it as a context manager.

    Everything goes to a hidden sibling, `.NAME.partial-PID`, which takes the final name when the
    block ends without an error and all slices are there. After an error it is removed. A killed
    process leaves it behind; the next writer to the same name removes it. Until the end, no other
    process can write to that name (`OutputLock`).

    Attributes
    ----------
    partial : Path
        The hidden sibling.
    """

    def __init__(
        self, path: Path, target: Target, make_sink: Any, overwrite: bool, lock: OutputLock
    ) -> None:
        self.path, self.target, self.overwrite, self._lock = path, target, overwrite, lock
        self.partial = partial_path(path)
        self._written: set[int] = set()
        self._marked = set(target.marks.computed)
        self._digests: dict[int, str] = {}
        with self._explained():
            self._sink: Sink = make_sink(self.partial, target)

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write slice `z` (y, x).

        Raises
        ------
        TsainError
            If the disk is full or the file cannot be written.
        ValueError
            If shape, dtype or order are wrong.
        """
        shape, dtype = self.target.shape, self.target.dtype
        if image.shape != shape[1:] or image.dtype != dtype or not 0 <= z < shape[0]:
            raise ValueError(
                f"Slice {z} is {image.shape} {image.dtype}; expected {shape[1:]} {dtype} at 0 to "
                f"{shape[0] - 1}."
            )
        if not self._sink.any_order and z != len(self._written):
            raise ValueError(
                f"Slice {z} comes after {len(self._written)}; this format is written in order."
            )
        with self._explained():
            self._sink.write(z, np.ascontiguousarray(image))
        self._written.add(z)
        if z in self._marked:
            self._digests[z] = slice_digest(image)

    def discard(self) -> None:
        """Give up: close and remove what was written. The final name stays as it was."""
        # a file that could not be written cannot always be closed; it is removed anyway
        with suppress(OSError, ValueError, RuntimeError):
            self._sink.close()
        remove(self.partial)
        self._lock.release()

    def __enter__(self) -> VolumeWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
            return
        missing = self.target.shape[0] - len(self._written)
        if missing:
            self.discard()
            raise ValueError(f"{missing} of {self.target.shape[0]} slices were never written.")
        try:
            with self._explained():
                if self._digests:
                    marks = replace(self.target.stamped_marks, digests=self._digests)
                    self._sink.mark(marks)
                self._sink.close()
                self._lock.check()
                publish(self.partial, self.path, self.overwrite)
        finally:
            self._lock.release()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn a full disk and the like into an error that says what to do."""
        try:
            yield
        except OSError as error:
            remove(self.partial)
            shape = self.target.shape
            size = int(np.prod(shape, dtype=np.int64)) * self.target.dtype.itemsize
            raise cannot_write(self.path, error, size) from error
        except BaseException:
            remove(self.partial)
            raise


def refuse_source(path: Path, source: str | None) -> None:
    """Refuse to write over, into or around the source.

    Raises
    ------
    TsainError
    """
    if not source:
        return
    resolved, origin = path.resolve(), Path(source).resolve()
    if resolved == origin or origin in resolved.parents or resolved in origin.parents:
        raise TsainError(
            f"The result {path} would lie over or inside the source {source}; expected a "
            "name elsewhere: the source is never touched."
        )


def check_free(path: Path, overwrite: bool, writes_folder: bool) -> None:
    """Refuse to write over anything without leave, and with leave over anything but a result.

    What a killed process left of an earlier result is cleared away: the caller holds the lock.

    Raises
    ------
    TsainError
    """
    clear_away(path)
    refuse_existing(path, overwrite, writes_folder)


def refuse_existing(path: Path, overwrite: bool, writes_folder: bool) -> None:
    """As `check_free`, but changes nothing, and so needs no lock.

    Raises
    ------
    TsainError
    """
    if path.exists() and not overwrite:
        raise TsainError(
            f"{path} exists; choose another name, or replace it with {argument('overwrite')}."
        )
    check_replaceable(path, writes_folder)
