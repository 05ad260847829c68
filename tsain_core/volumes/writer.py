"""Writing a result: complete under its name, or not there at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import TsainError, first_line
from ._marks import Marks
from ._publish import clear_away, partial_path, publish, remove
from .volume import Triple, VoxelSize

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Target:
    """What is to be written; `name` is the one that the result will have."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    voxel_size: VoxelSize | None
    unit: str | None
    offset: Triple
    marks: Marks
    name: str = ""


class Sink(Protocol):
    """A file being written, one slice at a time."""

    #: whether slices may come in any order
    any_order: bool

    def write(self, z: int, image: NDArray[Any]) -> None:
        """Write slice `z`."""

    def close(self) -> None:
        """Finish the file."""


class VolumeWriter:
    """A result in the making; use it as a context manager.

    Everything goes to a hidden sibling, `.NAME.partial-PID`, which takes the final name when the
    block ends without an error and all slices are there. After an error it is removed. A killed
    process leaves it behind; the next writer to the same name removes it.

    Attributes
    ----------
    partial : Path
        The hidden sibling.
    """

    def __init__(self, path: Path, target: Target, make_sink: Any, overwrite: bool) -> None:
        self.path, self.target, self.overwrite = path, target, overwrite
        self.partial = partial_path(path)
        self._written: set[int] = set()
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
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
                f"Slice {z} is {image.shape} {image.dtype}; needed is {shape[1:]} {dtype} at 0 to "
                f"{shape[0] - 1}."
            )
        if not self._sink.any_order and z != len(self._written):
            raise ValueError(
                f"Slice {z} comes after {len(self._written)}; this format is written in order."
            )
        with self._explained():
            self._sink.write(z, np.ascontiguousarray(image))
        self._written.add(z)

    def discard(self) -> None:
        """Give up: close and remove what was written. The final name stays as it was."""
        # a file that could not be written cannot always be closed; it is removed anyway
        with suppress(OSError, ValueError, RuntimeError):
            self._sink.close()
        remove(self.partial)

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
        with self._explained():
            self._sink.close()
            publish(self.partial, self.path, self.overwrite)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn a full disk and the like into an error that says what to do."""
        try:
            yield
        except OSError as error:
            remove(self.partial)
            if error.errno in _FULL:
                shape = self.target.shape
                size = int(np.prod(shape, dtype=np.int64)) * self.target.dtype.itemsize
                raise TsainError(
                    f"The disk is full while writing {self.path} ({first_line(error)}); needed are "
                    f"up to {size / 2**20:.0f} MiB: free some, or write elsewhere."
                ) from error
            raise TsainError(
                f"{self.path} cannot be written ({first_line(error)}); needed is a folder that may "
                "be written to: write elsewhere."
            ) from error
        except BaseException:
            remove(self.partial)
            raise


def check_target(path: Path, source: str | None, overwrite: bool, writes_folder: bool) -> None:
    """Refuse to write over, into or around the source, or over anything without leave.

    What a killed process left of an earlier result is cleared away.

    Raises
    ------
    TsainError
    """
    resolved = path.resolve()
    if source:
        origin = Path(source).resolve()
        if resolved == origin or origin in resolved.parents or resolved in origin.parents:
            raise TsainError(
                f"The result {path} would lie over or inside the source {source}; needed is a "
                "name elsewhere: the source is never touched."
            )
    clear_away(path)
    if path.exists() and not overwrite:
        raise TsainError(f"{path} exists; choose another name, or replace it with --overwrite.")
    if path.exists() and path.is_dir() != writes_folder:
        kinds = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
        raise TsainError(
            f"{path} is {kinds[0]}, and the result is {kinds[1]}; needed is a name that is free: "
            "choose another, or remove it yourself."
        )
