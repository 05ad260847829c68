"""From transmission to grey levels: illumination, point spread, shot noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ._noise import SmoothField

Array = NDArray[np.float64]

_DETECTOR = 3  # names the detector's random stream, apart from those of the world
_WHITE = 238.0
_MIDDLE = 128.0


class Detector:
    """Camera and beam; each slice has noise of its own that depends only on seed and depth."""

    def __init__(
        self, shape: tuple[int, int, int], seed: int, noise: float, contrast_jitter: float
    ) -> None:
        rng = np.random.default_rng([seed, _DETECTOR])
        # In slices along z, so the brightness drifts over some six of them.
        extent = (6.0 * shape[0], float(shape[1]), float(shape[2]))
        self._drift = SmoothField(rng, extent, 40.0 + max(shape[1:]) / 2)
        self._seed, self._noise, self._jitter = seed, noise, contrast_jitter

    def expose(self, transmission: Array, depth: float) -> NDArray[np.uint8]:
        """Image a section; `depth` is in slices."""
        rng = slice_rng(self._seed, _DETECTOR, depth)
        gain = 1 + self._jitter * rng.standard_normal()
        offset = 60 * self._jitter * rng.standard_normal()
        sharp = gaussian_filter(transmission, 0.75)
        light = _WHITE * sharp * (1 + 0.035 * self._drift.slice(6.0 * depth))
        light = _MIDDLE + gain * (light - _MIDDLE) + offset
        electrons = rng.standard_normal(light.shape)
        # Film and scanner spread the noise a little too; the factor keeps its deviation.
        grain = gaussian_filter(electrons, 0.55) * 1.9
        grey = light + self._noise * grain * np.sqrt(np.clip(light, 20, 255) / _MIDDLE)
        return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def slice_rng(seed: int, stream: int, depth: float) -> np.random.Generator:
    """A generator for one depth, in slices; depths closer than a millionth share it."""
    return np.random.default_rng([seed, stream, round(depth * 1e6)])
