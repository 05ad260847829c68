"""The rows of `regimes.py`: validation stacks at several spacings along z and binnings in x and y.

None of them is ever trained on. FIB-25 gives the end that the recipes hold out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsain_core.evaluation.leave_one_out import CROP, spread_slices
from tsain_core.volumes import open_volume

_BINNINGS = (1, 2, 4)
_SPACINGS = (1, 2, 4, 8)
_SMALLEST = 64  # pixels a side that binning must leave
_HELD_OUT = 0.15  # share of FIB-25's z slices; `held_out` of the recipes


@dataclass(frozen=True)
class Row:
    """A stack at one spacing and binning.

    Attributes
    ----------
    name : str
    stack : ndarray (z, y, x), uint8
    slices : list of int
        Slices that are left out and scored.
    crop : int
        Side of the central crop that is scored.
    """

    name: str
    stack: NDArray[np.uint8]
    slices: list[int]
    crop: int = CROP

    @property
    def digest(self) -> str:
        """Identifies the grey values and the crop."""
        digest = hashlib.sha256(str((self.stack.shape, self.crop)).encode())
        digest.update(np.ascontiguousarray(self.stack).data)
        return digest.hexdigest()[:24]


def rows(
    data: Path, also: Sequence[Path] = (), triplets: int | None = None, crop: int = CROP
) -> Iterator[Row]:
    """All rows, one after the other, so that only one is in memory.

    Parameters
    ----------
    data : Path
        Folder with `validate/` and `train/fib25_a.tif`.
    also : sequence of Path
        Further stacks, uint8.
    triplets : int, optional
        Most triplets of a row, evenly spread; all if not given.
    crop : int
        Side of the central crop that is scored.
    """
    for name, stack in _stacks(data, also):
        for binning in _BINNINGS:
            if binning > 1 and min(stack.shape[1:]) // binning < _SMALLEST:
                continue
            small = binned(stack, binning)
            chosen = spread_slices(len(small), triplets or len(small))
            yield Row(f"{name}, binned {binning}" if binning > 1 else name, small, chosen, crop)


def _stacks(data: Path, also: Sequence[Path]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for path in (*sorted((data / "validate").glob("*.tif")), *also):
        yield path.stem, np.asarray(open_volume(path).data)
    fib25 = np.asarray(open_volume(data / "train" / "fib25_a.tif").data)
    held = fib25[-round(len(fib25) * _HELD_OUT) :]
    for spacing in _SPACINGS:
        yield f"fib25 held out, spacing {spacing}", held[::spacing]


def binned(stack: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Mean of each `factor` x `factor` pixels of every slice; the rest at the end is cut off."""
    if factor == 1:
        return stack
    height, width = (n // factor for n in stack.shape[1:])
    cut = stack[:, : height * factor, : width * factor].astype(np.float32)
    means = cut.reshape(len(stack), height, factor, width, factor).mean((2, 4))
    return np.rint(means).astype(np.uint8)
