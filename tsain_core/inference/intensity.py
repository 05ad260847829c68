"""One intensity range for a whole volume: grey values to [0, 1] and back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..errors import TsainError, argument
from ..system.records import Record

#: Percentiles of the grey values that become 0 and 1.
PERCENTILES = (0.1, 99.9)
_MOST_SLICES = 16
_MOST_PIXELS = 1 << 18  # of a slice
_LARGEST_SLICE = 1 << 26  # pixels; of larger ones some patches are read
_PATCHES = 4  # along y and x
_LARGEST = 1e38  # of the grey values that become 0 and 1
_NARROWEST = 1e-30  # difference of the two: 16-bit values scaled by it are still finite

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IntensityRange(Record):
    """The grey values that become 0 and 1.

    One range serves all slices and tiles of a volume: a range of its own for each would make them
    flicker. Values outside are not clipped on the way in; on the way out they are clipped to what
    was seen in the volume, so that no grey value is invented, and to the dtype.

    Attributes
    ----------
    lo, hi : float
        Become 0 and 1.
    least, most : float
        Smallest and largest value seen; infinite where that is not known.
    """

    lo: float
    hi: float
    least: float = -np.inf
    most: float = np.inf

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        **Record.__pydantic_config__,
        "allow_inf_nan": True,
    }

    def __post_init__(self) -> None:
        # images are scaled in float32, which must neither overflow nor divide by 0
        if not (
            abs(self.lo) < _LARGEST
            and abs(self.hi) < _LARGEST
            and np.float32(self.hi) > np.float32(self.lo)
            and self.hi - self.lo >= _NARROWEST
        ):
            raise TsainError(
                f"The intensity range is {self.lo:g} to {self.hi:g}; two finite grey values, low "
                f"before high, are required. Give them by hand ({argument('intensity')})."
            )

    def to_unit(self, image: ArrayLike) -> NDArray[np.float32]:
        """Grey values of any shape and dtype -> float32, `lo` to 0 and `hi` to 1."""
        scaled = np.asarray(image, dtype=np.float32) - np.float32(self.lo)
        return scaled / np.float32(self.hi - self.lo)

    def from_unit(self, image: NDArray[np.float32], dtype: DTypeLike) -> NDArray[Any]:
        """Inverse of `to_unit`, within `least` and `most`; integers are rounded."""
        return self.stored(image.astype(np.float64) * (self.hi - self.lo) + self.lo, dtype)

    def stored(self, values: NDArray[np.float64], dtype: DTypeLike) -> NDArray[Any]:
        """Grey values as they are written: within `least` and `most`; integers are rounded."""
        grey = np.clip(values, self.least, self.most)
        target = np.dtype(dtype)
        if target.kind in "ui":
            limits = np.iinfo(target)
            return np.clip(np.rint(grey), limits.min, limits.max).astype(target)
        return grey.astype(target)


@dataclass(frozen=True)
class Scaling:
    """Which grey values of a volume become 0 and 1: what the weights of a model expect.

    Attributes
    ----------
    percentiles : (float, float)
        Of the grey values of the volume.
    fixed : (float, float) or None
        These grey values instead, in volumes of uint8. Other dtypes have no fixed black and white:
        of those the percentiles are taken, as in a conversion to 8 bits.
    """

    percentiles: tuple[float, float] = PERCENTILES
    fixed: tuple[float, float] | None = None

    def __str__(self) -> str:
        low, high = self.percentiles
        stretched = f"percentiles {low:g} and {high:g}"
        if self.fixed is None:
            return stretched
        return f"{self.fixed[0]:g} to {self.fixed[1]:g} in uint8, {stretched} in other types"


def _sample(volume: Any, z: int, step: int) -> NDArray[Any]:
    """Some grey values of a slice: every `step`-th, or patches where slices are huge."""
    _, height, width = volume.shape
    if height * width <= _LARGEST_SLICE or not hasattr(volume, "read"):
        return np.asarray(volume[z])[::step, ::step].ravel()
    side = int((_LARGEST_SLICE / _PATCHES**2) ** 0.5)
    step = max(1, int(side * _PATCHES / _MOST_PIXELS**0.5))
    starts = [[(n - side) * i // (_PATCHES - 1) for i in range(_PATCHES)] for n in (height, width)]
    patches = [
        volume.read(slice(z, z + 1), slice(y, y + side), slice(x, x + side))[0, ::step, ::step]
        for y in starts[0]
        for x in starts[1]
    ]
    return np.concatenate([patch.ravel() for patch in patches])


def estimate_range(volume: Any, scaling: Scaling = Scaling()) -> IntensityRange:
    """Robust range from percentiles of up to 16 slices spread over the volume.

    Parameters
    ----------
    volume : array-like (z, y, x), numpy or lazy
    scaling : Scaling

    Returns
    -------
    IntensityRange
        A constant volume gives a range of width 1 about its value.

    Raises
    ------
    TsainError
        If the sampled slices hold no finite value.
    """
    depth = volume.shape[0]
    chosen = np.unique(np.linspace(0, depth - 1, min(depth, _MOST_SLICES)).round().astype(int))
    step = max(1, int(np.sqrt(volume.shape[1] * volume.shape[2] / _MOST_PIXELS)))
    samples, problem = [], None
    for z in chosen:
        try:
            samples.append(_sample(volume, int(z), step))
        except TsainError as error:  # one damaged slice tells nothing about the others
            problem = error
            logger.warning("Slice %d is left out of the intensity range: %s", int(z), error)
    if problem and len(samples) < 2:
        raise problem
    values = np.concatenate(samples)
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise TsainError(
            "No finite grey value was found; an image is required. "
            f"Give the intensity range by hand ({argument('intensity')})."
        )
    lo, hi = (float(v) for v in np.percentile(values, scaling.percentiles))
    least, most = float(values.min()), float(values.max())
    if scaling.fixed and volume.dtype == np.uint8:
        lo, hi = scaling.fixed
    if hi <= lo:
        lo, hi = least, most
    if hi <= lo:
        lo, hi = lo - 0.5, lo + 0.5
    return IntensityRange(lo, hi, least, most)
