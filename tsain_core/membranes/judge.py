"""Membranes of computed slices beside those of the real ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .network import PIXEL_SIZE, MembraneNet, load_segmenter, membranes
from .scores import MembraneScores, membrane_scores

_FINEST, _COARSEST = 0.2, 3.0  # scales by which slices are brought to the segmenter's pixels
_AS_IT_IS = 0.15  # from which a difference in scale is not worth a resampling


class MembraneJudge:
    """Scores of computed slices, where the reference is what is found in the real slice.

    Parameters
    ----------
    pixel : float, optional
        Nanometres a pixel of the stack, by which slices are brought to the scale that the segmenter
        was trained at; unknown ones are taken as they are.
    network : MembraneNet, optional
        By default the one that comes with the package.
    """

    def __init__(self, pixel: float | None = None, network: MembraneNet | None = None) -> None:
        self._network = network or load_segmenter()
        scale = float(np.clip((pixel or PIXEL_SIZE) / PIXEL_SIZE, _FINEST, _COARSEST))
        self._scale = 1.0 if abs(scale - 1) < _AS_IT_IS else scale
        self._truth: NDArray[np.generic] | None = None
        self._reference: NDArray[np.bool_] | None = None

    def score(self, image: NDArray[np.generic], truth: NDArray[np.generic]) -> MembraneScores:
        """Of a computed slice (y, x) and the real one, in the same grey values."""
        if self._reference is None or self._truth is not truth:
            self._truth, self._reference = truth, self.find(truth) >= 0.5
        return membrane_scores(self.find(image), self._reference)

    def find(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """Probability of membrane (y, x), at the segmenter's scale."""
        from skimage.transform import rescale

        values = np.nan_to_num(np.asarray(image, np.float32))
        if self._scale != 1:
            values = rescale(values, self._scale, order=1, anti_aliasing=self._scale < 1)
        return membranes(values, self._network)
