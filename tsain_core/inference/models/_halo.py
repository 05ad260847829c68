"""The halo that a network's tiles need, tried out where it looks furthest.

::

    +--------------------+  slice
    | [s]   [s]   [s]    |  s: parts in which the sampling offsets are looked at
    |    +---------+     |
    | [s]| part    | [s] |  the part is computed whole, and round the place that looks furthest
    |    |  [tried]|     |  once more with a growing halo, until nothing differs
    | [s]+---------+ [s] |
    +--------------------+
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from ...network import NetworkSettings, Sampling, SamplingPoints
from ..cost import add_up_reach, offset_reach, receptive_radius
from ..region import Region, ceil_to

_PART = 512  # pixels: side of what is computed whole
_TRIED, _STEP = 128, 16  # pixels: side of what is compared, steps between halos
_SCANNED, _PLACES = 256, 3  # pixels: side of the parts that are looked at, how many along y and x
_SAME = 2e-5  # of the intensity range: a hundredth of a grey level is no difference
_SMOOTH = 9  # pixels of the feature map: few far points have no influence that can be measured

#: The network on a region of the pair, (y, x) on CPU; fills the Sampling.
Compute = Callable[[Region, Sampling | None], Tensor]


@dataclass(frozen=True)
class HaloTrial:
    """How far a network looks in one pair of slices.

    Parameters
    ----------
    compute : callable
        Region, Sampling or None -> Tensor (y, x), the network's prediction there.
    shape : (height, width)
        Of the slices.
    settings : NetworkSettings
    part : int
        Side of the part that is computed whole.
    """

    compute: Compute
    shape: tuple[int, int]
    settings: NetworkSettings
    part: int = _PART

    def measure(self) -> int:
        """The halo in pixels that the middle of the slice and the place that looks furthest need.

        Where the part is too small to find it, the offsets are added up, of which few have any
        influence.
        """
        height, width = self.shape
        radius = receptive_radius(self.settings)
        if min(self.shape) < self.settings.multiple:
            return radius
        halo = self._try_round(height // 2, width // 2, ceil_to(radius, self.settings.multiple))
        return self._try_round(*self._furthest(), halo)

    def _furthest(self) -> tuple[int, int]:
        """The place (y, x) with the largest offsets, of several parts of the slice."""
        found = (-1.0, self.shape[0] // 2, self.shape[1] // 2)
        for y in self._starts(self.shape[0]):
            for x in self._starts(self.shape[1]):
                region = self._region(y, x, min(_SCANNED, self.part))
                sampling = Sampling()
                self.compute(region, sampling)
                reach = _reach(sampling, region.shape, self.settings.unshuffle)
                # beyond the edge of a part there is nothing, which leads astray
                edge = min(reach.shape) // 8
                inner = reach[edge : reach.shape[0] - edge, edge : reach.shape[1] - edge]
                i, j = divmod(int(inner.argmax()), inner.shape[1])
                scale = self.settings.unshuffle
                place = (region.y0 + (edge + i) * scale, region.x0 + (edge + j) * scale)
                found = max(found, (float(inner[i, j]), *place))
        return found[1:]

    def _starts(self, side: int) -> list[int]:
        last = max(0, side - _SCANNED)
        return sorted({last * i // (_PLACES - 1) for i in range(_PLACES)})

    def _try_round(self, y: int, x: int, least: int) -> int:
        """The halo, from `least` upwards, with which the surroundings of a place come out right."""
        part = self._region(y - self.part // 2, x - self.part // 2, self.part)
        tried = self._region(y - _TRIED // 2, x - _TRIED // 2, _TRIED)
        sampling = Sampling()
        whole = self.compute(part, sampling)[tried.within(part).slices]
        bound = receptive_radius(self.settings) + offset_reach(sampling)
        for halo in range(least, bound, _STEP):
            reach = self._with_halo(tried, halo)
            if reach != reach.intersect(part):
                break
            result = self.compute(reach, None)[tried.within(reach).slices]
            if float((result - whole).abs().max()) < _SAME:
                return halo
        return max(least, bound)

    def _region(self, y: int, x: int, side: int) -> Region:
        """A square from about (y, x) on, moved and cut to lie within the slice."""
        m = self.settings.multiple
        spans = []
        for start, whole in ((y, self.shape[0]), (x, self.shape[1])):
            length = min(side, whole) // m * m
            first = max(0, min(start, whole - length)) // m * m
            spans.append((first, first + length))
        (y0, y1), (x0, x1) = spans
        return Region(y0, x0, y1, x1)

    def _with_halo(self, region: Region, halo: int) -> Region:
        """A region and what surrounds it, as far as the slice reaches."""
        m = self.settings.multiple
        return region.grow(halo).clip((self.shape[0] // m * m, self.shape[1] // m * m))


def _reach(sampling: Sampling, shape: tuple[int, int], stride: int) -> Tensor:
    """How far offsets add up at each pixel of the finest feature map, in pixels, (y, x).

    Points count as far as the modulation lets them.
    """
    size = [n // stride for n in shape]

    def far(points: SamplingPoints) -> Tensor:
        reach = (points.offset.abs() * points.mask[:, :, :, None]).float()[0] * points.stride
        return F.interpolate(reach.amax((0, 1, 2))[None, None], size=size)[0, 0]

    total = add_up_reach(sampling, far)
    smooth = F.avg_pool2d(total[None, None], _SMOOTH, 1, _SMOOTH // 2, count_include_pad=False)
    return smooth[0, 0].cpu()
