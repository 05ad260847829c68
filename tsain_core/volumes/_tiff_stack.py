"""Slices of a TIFF stack, read from its pages one at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..errors import TsainError
from ._grey import grey_values
from ._guard import reading
from ._slices import SliceStack
from ._tiff_pages import check_stored, quiet_tifffile

#: A page: the file that it is in, and its index there.
PageLocation = tuple[Path, int]


class TiffPages(SliceStack):
    """A page a slice; a file is opened when the first of its pages is read."""

    def __init__(self, places: Sequence[PageLocation], size: tuple[int, int], dtype: Any) -> None:
        super().__init__((len(places), *size), dtype)
        self.places = places
        self._lock = threading.Lock()
        self._file: tifffile.TiffFile | None = None

    def read_slice(self, z: int) -> NDArray[Any]:
        """The grey values of a page."""
        path, index = self.places[z]
        with self._lock, quiet_tifffile(), reading(f"Slice {z} of {path.name}", "TIFF"):
            page = self._open(path).pages[index]
            check_stored(page, path, f"slice {z}")
            image = grey_values(page.asarray(), page, f"Slice {z} of {path.name}")
            if image.shape != self.shape[1:]:
                raise TsainError(
                    f"Slice {z} of {path.name} is {image.shape}, and no longer {self.shape[1:]}: "
                    "the file was changed after it was opened; open it again."
                )
            return np.asarray(image, self.dtype)

    def _open(self, path: Path) -> tifffile.TiffFile:
        if self._file is None or Path(self._file.filehandle.path) != path:
            if self._file is not None:
                self._file.close()
            self._file = tifffile.TiffFile(path)
            self._file.pages.useframes = False
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


class TiffBlock(SliceStack):
    """Slices behind a single page: one after another, as ImageJ stores big stacks, or in it."""

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: Any) -> None:
        super().__init__(shape, dtype)
        self.path = path
        self._lock = threading.Lock()
        self._page: Any = None
        self._values: NDArray[Any] = np.empty(0)

    def read_slice(self, z: int) -> NDArray[Any]:
        """A part of the page."""
        with self._lock, quiet_tifffile(), reading(f"Slice {z} of {self.path.name}", "TIFF"):
            if self._page is None:
                self._load()
            image = grey_values(self._values[z], self._page, self.path.name)
            return np.asarray(image.reshape(self.shape[1:]), self.dtype)

    def _load(self) -> None:
        with tifffile.TiffFile(self.path) as tif:
            page = tif.pages.first
            if page.is_final:
                shape = page.shape if page.imagedepth > 1 else (self.shape[0], *page.shape)
                dtype = np.dtype(page.dtype).newbyteorder(tif.byteorder)
                where = page.dataoffsets[0]
                self._values = np.memmap(self.path, dtype, "r", where, shape)
            else:
                self._values = page.asarray()
            self._page = page

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_page": None, "_values": np.empty(0), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())
