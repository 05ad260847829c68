"""Cubic interpolation along z, which needs more than two neighbours: only to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..inference.intensity import Scaling

_PLACES = (-2, -1, 1, 2)  # slices, seen from the one that is left out


@dataclass(frozen=True)
class CubicInZ:
    """The polynomial through the two nearest slices on each side, where the slice is left out.

    With all four, these are Lagrange's weights -1/6, 2/3, 2/3, -1/6. At the ends of a stack, and
    beside slices that are empty, it is the parabola or the line through those that there are.
    """

    name: str = "cubic"
    # all grey values, as the other baselines
    scaling: Scaling = Scaling((0.0, 100.0))

    def between(self, images: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32]:
        """The slice in the middle.

        Parameters
        ----------
        images : four arrays (y, x)
            Two slices before it and two after it, in order of z; None for one that is not there.
        """
        known = [(z, image) for z, image in zip(_PLACES, images, strict=True) if image is not None]
        result = np.zeros_like(known[0][1])
        for z, image in known:
            others = [other for other, _ in known if other != z]
            weight = np.prod([other / (other - z) for other in others])
            result += np.float32(weight) * image
        return result
