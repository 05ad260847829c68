"""Numbers of each slice, and of each pair of slices that lie near each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

from .lines import line_height
from .sketch import Floats, Sketch

#: Pairs of slices are compared up to so many slices apart.
REACH = 3
_FINE, _COARSE = 1.5, 12.0  # sigmas in pixels of a sketch: between them lies what is compared
_TILES, _SMALLEST_TILE = 8, 24  # tiles a side; side of a tile in pixels of a sketch
_SMOOTH = 4.0  # sigma in pixels: noise is gone, large stains are left
#: Wavelengths in pixels that part the bands of detail, finest first.
_WAVES = (2.0, 4.0, 8.0, 16.0, 32.0)
_LARGEST_SHIFT = 0.25  # of a side
_SURE = 0.12  # correlation that a shift has to gain


@dataclass(frozen=True, eq=False)
class SliceNumbers:
    """What is measured of one slice, with T tiles.

    Attributes
    ----------
    digest : bytes
    level, spread, contrast : float
        Median; distance of the 10th and 90th, and of the 25th and 75th, percentiles.
    unknown : float
        Share of pixels that are not finite.
    bands : (4,)
        Logarithm of the power of fine to coarse detail.
    means, flatness : (T,)
        Mean of each tile; share of its pixels that equal their neighbours in the slice.
    tails : (2,)
        Darkest and brightest parts, without noise, in contrasts from the level.
    rows : (y,)
        Mean of each row.
    """

    digest: bytes
    level: float
    spread: float
    contrast: float
    unknown: float
    bands: Floats
    means: Floats
    flatness: Floats
    tails: Floats
    rows: Floats


@dataclass(frozen=True, eq=False)
class PairNumbers:
    """How two slices go together.

    Attributes
    ----------
    likeness : (T,)
        Correlation of each tile, after the shift was taken back.
    shift : (y, x)
        Of the second slice against the first, in pixels of a sketch; 0 where none is sure.
    detail : float
        Correlation of the finest detail, at full resolution: near 1 only in copies.
    """

    likeness: Floats
    shift: NDArray[np.float64]
    detail: float

    @property
    def alike(self) -> float:
        """Median likeness of the tiles."""
        return float(np.median(self.likeness))


@dataclass(frozen=True, eq=False)
class Stain:
    """Where a slice is brighter or darker than the mean of two neighbours.

    Attributes
    ----------
    height : float
        How far the most different parts are off, in contrasts of the slice.
    coarse : float
        Share of the height that is left in the coarse picture: near 1 for broad stains.
    rows : float
        Share of the variance that is the same all along each row: near 1 for streaks.
    line : float
        How far the most different straight strip is off, in contrasts of the slice.
    """

    height: float
    coarse: float
    rows: float
    line: float


class Prepared:
    """A sketch with what comparisons need, computed once."""

    def __init__(self, sketch: Sketch) -> None:
        finite = np.isfinite(sketch.image)
        middle = float(np.median(sketch.image[finite])) if finite.any() else 0.0
        self.image = np.where(finite, sketch.image, np.float32(middle))
        low, below, level, above, high = np.percentile(self.image, (10, 25, 50, 75, 90))
        contrast = max(float(above - below), 1e-3 * float(np.ptp(self.image)), 1e-12)
        self.smooth = gaussian_filter((self.image - level) / contrast, _SMOOTH)
        self.texture = texture_of(self.image)
        self.spectrum = spectrum_of(self.texture)
        patches = np.nan_to_num(sketch.patches, nan=middle, posinf=middle, neginf=middle)
        self.detail = _fine_detail(patches)
        self.numbers = SliceNumbers(
            sketch.digest,
            float(level),
            float(high - low),
            contrast,
            1 - float(finite.mean()),
            _bands(patches),
            _tiles(self.image),
            _tiles(_flat(self.image)),
            np.percentile(self.smooth, (0.5, 99.5)).astype(np.float32),
            self.image.mean(1),
        )


def compare(first: Prepared, second: Prepared) -> PairNumbers:
    """How two slices go together."""
    shift = shift_between(first.texture, first.spectrum, second.spectrum)
    moved = np.roll(second.texture, tuple(-int(s) for s in shift), (0, 1))
    return PairNumbers(_likeness(first.texture, moved), shift, _detail(first, second))


def stain(before: Prepared, slice_: Prepared, after: Prepared) -> Stain:
    """Where a slice is brighter or darker than the mean of its neighbours."""
    difference = slice_.smooth - (before.smooth + after.smooth) / 2
    difference -= np.median(difference)
    coarse = gaussian_filter(difference, min(difference.shape) / 32)
    height = float(np.percentile(np.abs(difference), 99)) or 1e-12
    left = float(np.percentile(np.abs(coarse), 99)) / height
    streaks = float(coarse.mean(1).var() / (coarse.var() or 1.0))
    return Stain(height, left, streaks, line_height(difference))


def texture_of(image: Floats) -> Floats:
    """The image without noise and without large stains; outliers are cut."""
    band = gaussian_filter(image, _FINE) - gaussian_filter(image, _COARSE)
    reach = 4 * float(np.median(np.abs(band))) or 1.0
    texture: Floats = np.clip(band, -reach, reach)
    return texture


def spectrum_of(texture: Floats) -> NDArray[np.complex64]:
    y, x = (_taper(n) for n in texture.shape)
    spectrum: NDArray[np.complex64] = fft.fft2(texture * y[:, None] * x)
    return spectrum


def _taper(length: int) -> NDArray[np.float32]:
    """Tukey's window, an eighth falling at each end; scipy.signal takes a second to import."""
    width = int(0.125 * (length - 1))
    falling = 0.5 * (1 - np.cos(np.pi * np.arange(width + 1) / (0.125 * (length - 1))))
    window = np.ones(length, np.float32)
    window[: width + 1], window[length - width - 1 :] = falling, falling[::-1]
    return window


def shift_between(
    texture: Floats, first: NDArray[np.complex64], second: NDArray[np.complex64]
) -> NDArray[np.float64]:
    """Whole pixels by which the second slice lies further down and right; 0 where unsure.

    Parameters
    ----------
    texture : ndarray (y, x)
        Of the first slice; see `texture_of`.
    first, second : ndarray (y, x)
        Spectra of the textures of both; see `spectrum_of`.
    """
    nothing = np.zeros(2)
    energy = np.sqrt(np.vdot(first, first).real) * np.sqrt(np.vdot(second, second).real)
    if not energy > 0:
        return nothing
    found, error, _ = phase_cross_correlation(second, first, space="fourier", normalization=None)
    peak = np.sqrt(max(0.0, 1 - float(error) ** 2))
    at_zero = float(np.vdot(first, second).real / energy)
    independent = texture.size / (4 * _FINE) ** 2
    if peak - at_zero < max(_SURE, 9 / np.sqrt(independent)):
        return nothing
    if np.any(np.abs(found) > np.multiply(texture.shape, _LARGEST_SHIFT)):
        return nothing
    return np.asarray(found, np.float64)


def _grid(shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """First row and column of each tile."""
    rows, columns = (
        np.linspace(0, n, max(1, min(_TILES, n // _SMALLEST_TILE)) + 1).astype(int)[:-1].tolist()
        for n in shape
    )
    return rows, columns


def _tile_sums(values: Floats) -> Floats:
    rows, columns = _grid(values.shape)
    down = np.add.reduceat(values, rows, axis=0)
    sums: Floats = np.add.reduceat(down, columns, axis=1)
    return sums


def tile_grid(shape: tuple[int, ...]) -> tuple[int, int]:
    """Tiles along y and x of a sketch of this shape."""
    rows, columns = _grid(shape)
    return len(rows), len(columns)


def _tiles(values: Floats) -> Floats:
    means: Floats = (_tile_sums(values) / _tile_sums(np.ones_like(values))).ravel()
    return means


def _likeness(a: Floats, b: Floats) -> Floats:
    both, first, second = _tile_sums(a * b), _tile_sums(a * a), _tile_sums(b * b)
    floor = 0.05 * np.sqrt(float(np.median(first)) * float(np.median(second))) + 1e-12
    likeness: Floats = (both / (np.sqrt(first * second) + floor)).ravel()
    return likeness


def _flat(image: Floats) -> Floats:
    """1 where a pixel equals the one to the right and the one below."""
    flat = np.zeros_like(image)
    right, below = image[:-1, 1:], image[1:, :-1]
    flat[:-1, :-1] = (image[:-1, :-1] == right) & (image[:-1, :-1] == below)
    return flat


def _bands(patches: Floats) -> Floats:
    """Logarithm of the power between the wavelengths, fine to coarse: median of the patches."""
    high, wide = patches.shape[1:]
    window = np.hanning(high)[:, None] * np.hanning(wide)
    centred = (patches - patches.mean((1, 2), keepdims=True)) * window.astype(np.float32)
    power = np.abs(fft.rfft2(centred)) ** 2
    y, x = fft.fftfreq(high)[:, None], fft.rfftfreq(wide)
    radius = np.hypot(y, x)
    bands = []
    for short, long in zip(_WAVES, _WAVES[1:], strict=False):
        ring = (radius > 1 / long) & (radius <= 1 / short)
        mean = power[:, ring].mean(1) if ring.any() else np.ones(len(patches))
        bands.append(float(np.median(np.log(mean + 1e-6))))
    return np.array(bands, np.float32)


def _fine_detail(patches: Floats) -> Floats:
    smooth = gaussian_filter(patches, (0, 1, 1))
    detail: Floats = patches - smooth
    return detail


def _detail(first: Prepared, second: Prepared) -> float:
    a, b = first.detail, second.detail
    energy = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    return float(np.vdot(a, b)) / energy if energy > 0 else 0.0
