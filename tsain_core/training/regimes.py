"""Ranges of imaging conditions, from which each training triplet is drawn.

A network that learns from one kind of data takes its grain, contrast and pixel size for granted.
Here all of them are drawn for every triplet from continuous ranges, so that what is common to
all is learnt: what both slices agree on stays, noise is averaged, contradictions become the
expectation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..system.records import Record
from .augment import regraded
from .screening import Triplet

Range = tuple[float, float]


@dataclass(frozen=True)
class Regimes(Record):
    """Ranges of imaging conditions; grey values are in [0, 1], lengths in pixels of the crop.

    Attributes
    ----------
    binning : (int, int)
        Pixels averaged along y and x; of isotropic volumes up to as many along z. Drawn with
        weights that fall with the square root of the binning.
    resampled : float
        Share of the triplets that are zoomed, turned freely and deformed. The others keep their
        pixels, and so the grain of the recording.
    zoom : (float, float)
        Pixel size after zooming, relative to before.
    elastic : float
        Largest displacement of the smooth deformation, common to the three slices.
    gaps : (int, int)
        Distance between the two outer slices, in slices; 2 is that of neighbours' neighbours.
        Drawn evenly in the logarithm, as far as the volume is deep.
    middle : float
        Share of the triplets whose truth lies half-way; for the others it lies anywhere between.
        Where gaps are odd, the truth is one of the two slices in the middle.
    finer : float
        Share of the triplets that lie less than a slice apart: slices between the stack's own are
        their weighted means, so that neighbours share their grain, as in resampled volumes.
    noise : (float, float), noisy : float
        Standard deviation of added noise, and the share of triplets that have any: on the outer
        slices alone. It is partly Poisson-like (grows with the grey value) and partly correlated.
    grain : (float, float), grained : float
        Standard deviation of grain that all three slices have, more alike the nearer they are, and
        the share of triplets that have it: as in volumes that were smoothed or resampled along z,
        whose finest detail goes on from slice to slice.
    blur : (float, float), blurred : float
        Standard deviation of a Gaussian on one or all of the slices, and the share of triplets.
    gamma : (float, float)
        Exponent on the grey values, drawn evenly in the logarithm.
    inverted : float
        Share of the triplets with inverted contrast.
    contrast, brightness : float
        Largest relative change of contrast and change of brightness, common to the triplet.
    slice_contrast, slice_brightness : float
        The same for each of the outer slices alone.
    jump, jump_contrast : float, jumping : float
        Largest change of brightness, and of the logarithm of contrast, of one outer slice, as
        between badly stained sections, and the share of triplets that have it. The truth's change
        by as much as lies between the outer slices': what is learnt is to see through a jump, not
        to guess at it.
    drift : float, drifting : float
        Largest shift of an outer slice, and the share of triplets that have any.
    same : float
        Share of the triplets that are three times the same slice: what both slices agree on to the
        last grain is signal, and stays.
    """

    binning: tuple[int, int] = (1, 4)
    resampled: float = 0.4
    zoom: Range = (0.7, 1.4)
    elastic: float = 3.0
    gaps: tuple[int, int] = (2, 6)
    middle: float = 0.7
    finer: float = 0.06
    noise: Range = (0.01, 0.2)
    noisy: float = 0.3
    grain: Range = (0.02, 0.3)
    grained: float = 0.2
    blur: Range = (0.4, 1.5)
    blurred: float = 0.15
    gamma: Range = (0.7, 1.4)
    inverted: float = 0.03
    contrast: float = 0.35
    brightness: float = 0.15
    slice_contrast: float = 0.1
    slice_brightness: float = 0.03
    jump: float = 0.3
    jump_contrast: float = 0.5
    jumping: float = 0.0
    drift: float = 3.0
    drifting: float = 0.25
    same: float = 0.03


def draw_regime(
    stack: NDArray[Any], isotropic: bool, regimes: Regimes, rng: np.random.Generator, crop: int
) -> tuple[Triplet, float]:
    """A triplet of `crop` x `crop` pixels under drawn conditions, and where its truth lies.

    Parameters
    ----------
    stack : ndarray (z, y, x)
        At least 3 slices of `crop` x `crop` pixels.
    isotropic : bool
        Whether z may be binned with y and x.
    regimes : Regimes
    rng : Generator
    crop : int

    Returns
    -------
    ndarray (3, crop, crop), float32, and float
        Before, truth, after in the units of the stack; the position of the truth, 0 to 1.
    """
    depth, height, width = stack.shape
    by = _binning(regimes, rng, min(height, width) // crop)
    thick = int(rng.integers(1, by + 1)) if isotropic else 1
    thick = max(1, min(thick, depth // 3))
    places, position = _places(depth // thick, regimes, rng)
    resampled = rng.random() < regimes.resampled
    zoom = float(np.exp(rng.uniform(*np.log(regimes.zoom)))) if resampled else 1.0
    reach = 1.5 * crop * zoom + 2 * (regimes.drift + regimes.elastic)
    if resampled and reach * by > min(height, width):
        resampled, zoom = False, 1.0  # a turned crop would stand out of the slice
    drifts = _drifts(regimes, rng)
    if places[0] == places[2]:
        drifts[:] = 0
    margin = 0 if resampled else int(np.ceil(np.abs(drifts).max()))
    side = int(np.ceil(reach)) if resampled else crop + 2 * margin
    if side * by > min(height, width):
        drifts, margin, side = np.zeros_like(drifts), 0, crop
    y = int(rng.integers(0, height - side * by + 1))
    x = int(rng.integers(0, width - side * by + 1))
    part = stack[:, y : y + side * by, x : x + side * by]
    cuts = np.stack([_slice_at(part, z, thick, by) for z in places])
    if resampled:
        return _resampled(cuts, crop, zoom, regimes.elastic, drifts, rng), position
    return _shifted(cuts, crop, margin, drifts), position


def change_grey_values(
    triplet: Triplet, position: float, regimes: Regimes, rng: np.random.Generator
) -> Triplet:
    """Contrast, brightness, gamma, blur, grain and noise, grey values in [0, 1]."""
    r = regimes
    identical = bool(np.array_equal(triplet[0], triplet[2]))
    if not identical and rng.random() < r.grained:
        triplet = triplet + _grain(triplet.shape[1:], position, r.grain, rng)
    if rng.random() < r.inverted:
        triplet = 1 - triplet
    gamma = float(np.exp(rng.uniform(*np.log(r.gamma))))
    triplet = np.sign(triplet) * np.abs(triplet) ** np.float32(gamma)
    gain, shift = 1 + rng.uniform(-r.contrast, r.contrast), rng.uniform(-1, 1) * r.brightness
    triplet = regraded(triplet, gain, shift).astype(np.float32)
    if rng.random() < r.blurred:
        sigma = rng.uniform(*r.blur)
        which = range(3) if identical or rng.random() < 0.6 else [int(rng.choice([0, 2]))]
        for i in which:
            triplet[i] = cv2.GaussianBlur(triplet[i], (0, 0), sigma)
    if identical:
        return triplet
    if r.jumping and rng.random() < r.jumping:
        _jump(triplet, position, r, rng)
    sigma = rng.uniform(*r.noise) if rng.random() < r.noisy else 0.0
    poisson, grain = rng.random(), rng.uniform(0.4, 1.0) if rng.random() < 0.4 else 0.0
    for i in (0, 2):
        gain = 1 + rng.uniform(-r.slice_contrast, r.slice_contrast)
        shift = rng.uniform(-r.slice_brightness, r.slice_brightness)
        triplet[i] = regraded(triplet[i], gain, shift)
        if sigma:
            triplet[i] += _noise(triplet[i], sigma, poisson, grain, rng)
    return triplet


def _binning(regimes: Regimes, rng: np.random.Generator, most: int) -> int:
    low, high = regimes.binning
    steps = np.arange(low, max(low, min(high, most)) + 1)
    weights = steps**-0.5
    return int(rng.choice(steps, p=weights / weights.sum()))


def _places(
    depth: int, regimes: Regimes, rng: np.random.Generator
) -> tuple[tuple[float, float, float], float]:
    """Places of the three slices along z, and the position of the truth between the others."""
    first, truth, last = _positions(depth, regimes, rng)
    kind = rng.random()
    if kind < regimes.same:
        return (truth, truth, truth), 0.5
    if kind < regimes.same + regimes.finer:
        step = rng.uniform(0.3, 0.9)
        start = rng.uniform(0, depth - 1 - 2 * step)
        return (start, start + step, start + 2 * step), 0.5
    return (first, truth, last), (truth - first) / (last - first)


def _positions(
    depth: int, regimes: Regimes, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Slices before, truth and after."""
    low, high = regimes.gaps
    high = min(high, depth - 1)
    low = min(low, high)
    gap = int(np.floor(np.exp(rng.uniform(np.log(low), np.log(high + 1)))))
    gap = min(max(gap, low), high)
    first = int(rng.integers(0, depth - gap))
    if rng.random() < regimes.middle:
        gap -= gap % 2 if gap > 2 else 0
        return first, first + gap // 2, first + gap
    return first, first + int(rng.integers(1, gap)), first + gap


def _drifts(regimes: Regimes, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shift (dy, dx) of each slice; the truth stays."""
    drifts = np.zeros((3, 2))
    if regimes.drift and rng.random() < regimes.drifting:
        drift = rng.uniform(-regimes.drift, regimes.drift, 2)
        drifts[0], drifts[2] = drift, -drift if rng.random() < 0.5 else 0
    return drifts


def _slice_at(part: NDArray[Any], z: float, thick: int, by: int) -> NDArray[np.float32]:
    """Slice `z` of a part; between two slices their weighted mean."""
    below = int(z)
    image = _mean_of(part[below * thick : (below + 1) * thick], by)
    share = np.float32(z - below)
    if not share:
        return image
    above = _mean_of(part[(below + 1) * thick : (below + 2) * thick], by)
    return image + share * (above - image)


def _mean_of(part: NDArray[Any], by: int) -> NDArray[np.float32]:
    """Mean over z, and over squares of `by` x `by` pixels."""
    image = part[0].astype(np.float32) if len(part) == 1 else part.mean(0, dtype=np.float32)
    if by > 1:
        size = image.shape[1] // by, image.shape[0] // by
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image


def _shifted(
    cuts: NDArray[np.float32], crop: int, margin: int, drifts: NDArray[np.float64]
) -> Triplet:
    """Crops shifted by whole pixels, which keep their grain."""
    out = np.empty((3, crop, crop), np.float32)
    for i, (dy, dx) in enumerate(np.rint(drifts).astype(int)):
        y, x = margin + dy, margin + dx
        out[i] = cuts[i, y : y + crop, x : x + crop]
    return out


def _resampled(
    cuts: NDArray[np.float32],
    crop: int,
    zoom: float,
    elastic: float,
    drifts: NDArray[np.float64],
    rng: np.random.Generator,
) -> Triplet:
    """Crops zoomed, turned and deformed alike, and shifted each by its drift."""
    angle = rng.uniform(0, 2 * np.pi)
    grid = (np.arange(crop, dtype=np.float32) - (crop - 1) / 2) * np.float32(zoom)
    yy, xx = np.meshgrid(grid, grid, indexing="ij")
    centre = (cuts.shape[1] - 1) / 2
    sin, cos = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    y, x = cos * yy - sin * xx + centre, sin * yy + cos * xx + centre
    knots = rng.uniform(-1, 1, (2, 4, 4)).astype(np.float32) * np.float32(elastic * rng.random())
    y, x = (
        c + cv2.resize(k, (crop, crop), interpolation=cv2.INTER_CUBIC)
        for c, k in zip((y, x), knots, strict=True)
    )
    if zoom > 1.1:  # no grain finer than the new pixels
        cuts = np.stack([cv2.GaussianBlur(c, (0, 0), 0.4 * zoom) for c in cuts])
    out = np.empty((3, crop, crop), np.float32)
    for i, (dy, dx) in enumerate(drifts.astype(np.float32)):
        out[i] = cv2.remap(cuts[i], x + dx, y + dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return out


def _grain(
    shape: tuple[int, ...], position: float, strength: Range, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Grain of three slices, whose correlation falls with their distance along z.

    Like a Gaussian, as after smoothing along z, or exponentially.
    """
    places = np.array([0.0, 2 * position, 2.0])
    distances = np.abs(places[:, None] - places[None])
    neighbours = rng.uniform(0.25, 0.97)  # correlation at half the distance of the outer slices
    correlations = neighbours ** (distances**2 if rng.random() < 0.7 else distances)
    factor = np.linalg.cholesky(correlations + 1e-6 * np.eye(3)).astype(np.float32)
    grain = rng.standard_normal((3, *shape), dtype=np.float32)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.3, 1.0)
        grain = np.stack([cv2.GaussianBlur(g, (0, 0), sigma) for g in grain])
        grain /= max(float(grain.std()), 1e-6)
    sd = np.float32(np.exp(rng.uniform(*np.log(strength))))
    out: NDArray[np.float32] = sd * np.einsum("ij,jyx->iyx", factor, grain)
    return out


def _jump(triplet: Triplet, position: float, regimes: Regimes, rng: np.random.Generator) -> None:
    """Make one outer slice brighter or darker, of another contrast, clip it; the truth between."""
    which, nearness = (0, 1 - position) if rng.random() < 0.5 else (2, position)
    gain = float(np.exp(rng.uniform(-1, 1) * regimes.jump_contrast))
    shift = rng.uniform(-1, 1) * regimes.jump
    for i, share in ((which, 1.0), (1, nearness)):
        triplet[i] = regraded(triplet[i], 1 + share * (gain - 1), share * shift)
    if rng.random() < 0.5:
        np.clip(triplet[which], 0, 1, out=triplet[which])


def _noise(
    image: NDArray[np.float32],
    sigma: float,
    poisson: float,
    grain: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Noise of standard deviation `sigma` at grey 0.5; `grain` blurs it, its strength kept."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    if grain:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), grain), np.float32)
        noise /= max(float(noise.std()), 1e-6)
    bright = np.sqrt(np.clip(image, 0.05, 1.5) / 0.5)
    out: NDArray[np.float32] = noise * (sigma * (1 - poisson + poisson * bright)).astype(np.float32)
    return out
