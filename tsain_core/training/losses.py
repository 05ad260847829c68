"""Training losses on images in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..system.records import Record
from .perceptual import VggFeatures, perceptual_loss, style_loss


@dataclass(frozen=True)
class LossSettings(Record):
    """Weights of the terms.

    Attributes
    ----------
    mse : float
        Squared error, the paper's L_pixel (equation 14).
    charbonnier : float
        Robust absolute error sqrt(d^2 + eps^2) - eps (Charbonnier et al. 1994).
    ssim : float
        1 - SSIM (Wang et al. 2004), Gaussian window of 11 pixels, sigma 1.5.
    eps : float
        Where the Charbonnier term turns from squared to absolute.
    spectrum : float
        Absolute difference of the logarithms of both power spectra, averaged over directions
        (`radial_spectrum`): as much detail of every size as in the real slice, wherever it lies.
    log_mse, log_structure : float
        Logarithm of the squared error of each image; of both images smoothed by a Gaussian of 2
        pixels. What counts is the factor by which an error falls, whatever its size: noisy triplets
        do not outweigh clean ones, whose errors are a thousand times smaller.
    stripes : float
        Stripes and checkerboards of a period of 2 pixels (`stripes`), which networks that compute
        several pixels at once make where an adversary asks for detail.
    perceptual : float
        Squared error of VGG16 activations (equation 15).
    style : float
        Squared error of their Gram matrices (equation 16).
    vgg : str
        File with VGG16's weights; empty takes torchvision's cache or downloads them.
    vgg_normalise : bool
        Normalise images as VGG was trained; the authors do not.
    """

    mse: float = 1.0
    charbonnier: float = 1.0
    ssim: float = 0.1
    eps: float = 0.05
    spectrum: float = 0.0
    log_mse: float = 0.0
    log_structure: float = 0.0
    stripes: float = 0.0
    perceptual: float = 0.0
    style: float = 0.0
    vgg: str = ""
    vgg_normalise: bool = False

    @property
    def needs_vgg(self) -> bool:
        """Whether a term is computed on VGG16's features."""
        return self.perceptual > 0 or self.style > 0


_FLOOR = 1e-4  # of the power, below what 8-bit rounding adds
_SMALLEST_ERROR = 1e-4  # squared: errors below 1/100 of the range need not fall further
_SMALLEST_SMOOTH_ERROR = 1e-5
#: Pixels at each side that `smoothed` takes off.
SMOOTHING_RADIUS = 6

#: Named settings, for recipes: the paper's (section 3.3, weights of the authors' code) and ours.
LOSSES: dict[str, LossSettings] = {
    "paper": LossSettings(mse=1.0, charbonnier=0.0, ssim=0.0, perceptual=1.0, style=1e6),
    "fidelity": LossSettings(mse=4.0, charbonnier=0.2, ssim=0.2),
}


def _gaussian(device: torch.device, radius: int = 5, sigma: float = 1.5) -> Tensor:
    x = torch.arange(2 * radius + 1, device=device, dtype=torch.float32) - radius
    g = torch.exp(-(x**2) / (2 * sigma**2))
    return g / g.sum()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity of (N, 1, H, W) images with data range 1, without the border."""
    g = _gaussian(a.device)
    stack = torch.cat([a, b, a * a, b * b, a * b], 1)  # N x 5 x H x W
    vertical = g.view(1, 1, -1, 1).expand(5, 1, 11, 1)
    horizontal = g.view(1, 1, 1, -1).expand(5, 1, 1, 11)
    blurred = F.conv2d(F.conv2d(stack, vertical, groups=5), horizontal, groups=5)
    ma, mb, aa, bb, ab = blurred.split(1, 1)
    c1, c2 = 0.01**2, 0.03**2
    similar = (2 * ma * mb + c1) * (2 * (ab - ma * mb) + c2)
    return (similar / ((ma**2 + mb**2 + c1) * (aa - ma**2 + bb - mb**2 + c2))).mean()


def radial_spectrum(images: Tensor) -> Tensor:
    """Power at each spatial frequency, averaged over directions.

    Parameters
    ----------
    images : Tensor, (N, 1, H, W)

    Returns
    -------
    Tensor, (N, min(H, W) // 2)
        From one cycle an image side up to the Nyquist frequency; under a Hann window, so that the
        edges of a crop do not count as detail.
    """
    n, _, height, width = images.shape
    images = images.float()[:, 0]
    rows, columns = (
        torch.hann_window(side, periodic=False, device=images.device) for side in (height, width)
    )
    centred = images - images.mean((1, 2), keepdim=True)
    power = torch.fft.rfft2(centred * rows[:, None] * columns).abs().square().flatten(1)
    y = torch.fft.fftfreq(height, device=images.device)[:, None]
    x = torch.fft.rfftfreq(width, device=images.device)
    count = min(height, width) // 2
    ring = (torch.hypot(y, x) * 2 * count).round().long().flatten() - 1
    inside = (ring >= 0) & (ring < count)
    total = power.new_zeros(n, count).index_add(1, ring[inside], power[:, inside])
    return total / torch.bincount(ring[inside], minlength=count).clamp(min=1)


def log_error(difference: Tensor, floor: float) -> Tensor:
    """Mean logarithm of the squared error of each image (N, 1, H, W), a scalar."""
    return torch.log(difference.square().mean((1, 2, 3)) + floor).mean()


def smoothed(images: Tensor) -> Tensor:
    """Images (N, 1, H, W) under a Gaussian of 2 pixels, without the border of 6 pixels."""
    g = _gaussian(images.device, SMOOTHING_RADIUS, 2.0)
    return F.conv2d(F.conv2d(images, g.view(1, 1, -1, 1)), g.view(1, 1, 1, -1))


def stripes(images: Tensor) -> Tensor:
    """Mean amplitude of patterns that change their sign from pixel to pixel, a scalar.

    Parameters
    ----------
    images : Tensor, (N, 1, H, W)
        Sides of 16 or more; of rows, of columns and of both, in squares of 16 pixels.
    """
    height, width = images.shape[-2:]
    rows = 1 - 2.0 * (torch.arange(height, device=images.device) % 2)[:, None]
    columns = 1 - 2.0 * (torch.arange(width, device=images.device) % 2)
    patterns = torch.stack([rows.expand(-1, width), columns.expand(height, -1), rows * columns])
    return F.avg_pool2d(images * patterns, 16).abs().mean()


def spectrum_loss(prediction: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of the logarithms of both spectra, a scalar."""
    a, b = (torch.log(radial_spectrum(images) + _FLOOR) for images in (prediction, truth))
    return (a - b).abs().mean()


def total_loss(
    prediction: Tensor, truth: Tensor, s: LossSettings, vgg: VggFeatures | None = None
) -> Tensor:
    """Weighted sum of the terms, a scalar.

    Raises
    ------
    ValueError
        If a term needs VGG16's features and `vgg` is None.
    """
    d = prediction - truth
    loss = s.mse * d.square().mean()
    loss = loss + s.charbonnier * (torch.sqrt(d.square() + s.eps**2) - s.eps).mean()
    if s.ssim:
        loss = loss + s.ssim * (1 - ssim(prediction, truth))
    if s.spectrum:
        loss = loss + s.spectrum * spectrum_loss(prediction, truth)
    if s.log_mse:
        loss = loss + s.log_mse * log_error(d, _SMALLEST_ERROR)
    if s.log_structure:
        loss = loss + s.log_structure * log_error(smoothed(d), _SMALLEST_SMOOTH_ERROR)
    if s.stripes:
        loss = loss + s.stripes * stripes(prediction)
    if s.needs_vgg:
        if vgg is None:
            raise ValueError("Perceptual and style terms need VGG16's features: pass vgg.")
        with torch.no_grad():
            wanted = vgg(truth)
        got = vgg(prediction)
        loss = loss + s.perceptual * perceptual_loss(got, wanted)
        loss = loss + s.style * style_loss(got, wanted)
    return loss
