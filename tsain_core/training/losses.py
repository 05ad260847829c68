"""Training losses on images in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .perceptual import VggFeatures, perceptual_loss, style_loss


@dataclass(frozen=True)
class LossSettings:
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
    perceptual: float = 0.0
    style: float = 0.0
    vgg: str = ""
    vgg_normalise: bool = False

    @property
    def needs_vgg(self) -> bool:
        """Whether a term is computed on VGG16's features."""
        return self.perceptual > 0 or self.style > 0


#: Named settings, for recipes: the paper's (section 3.3, weights of the authors' code) and ours.
LOSSES: dict[str, LossSettings] = {
    "paper": LossSettings(mse=1.0, charbonnier=0.0, ssim=0.0, perceptual=1.0, style=1e6),
    "fidelity": LossSettings(mse=1.0, charbonnier=1.0, ssim=0.2),
}


def _gaussian(device: torch.device) -> Tensor:
    x = torch.arange(11, device=device, dtype=torch.float32) - 5
    g = torch.exp(-(x**2) / (2 * 1.5**2))
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
    if s.needs_vgg:
        if vgg is None:
            raise ValueError("Perceptual and style terms need VGG16's features: pass vgg.")
        with torch.no_grad():
            wanted = vgg(truth)
        got = vgg(prediction)
        loss = loss + s.perceptual * perceptual_loss(got, wanted)
        loss = loss + s.style * style_loss(got, wanted)
    return loss
