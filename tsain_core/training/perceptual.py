"""Losses on the features of VGG16: perceptual (equation 15) and style (equation 16).

As the authors' code computes them: squared differences of activations, and of Gram matrices
F F^T / (C H W). Layers relu1_2, relu2_2, relu3_3 and relu4_3 (Simonyan and Zisserman 2014).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import TsainError, first_line
from ..system.triton_loading import load_triton

#: Modules of torchvision's `vgg16().features` after which activations are compared.
LAYERS = (3, 8, 15, 22)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VggFeatures(nn.Module):
    """Activations of VGG16 trained on ImageNet, for grey images (N, 1, H, W) in [0, 1].

    Parameters
    ----------
    weights : path or None
        File with VGG16's weights as torchvision saves them; None takes torchvision's cache, or
        downloads them (528 MB).
    normalise : bool
        Normalise images as VGG was trained; the authors do not.

    Raises
    ------
    TsainError
        If there are no weights to be had.
    """

    def __init__(self, weights: str | Path | None = None, normalise: bool = False) -> None:
        super().__init__()
        load_triton()  # which torchvision imports
        from torchvision.models import vgg16

        with torch.device("meta"):
            features = vgg16().features[: LAYERS[-1] + 1]
        found = {k: v for k, v in _vgg_state(weights).items() if k in features.state_dict()}
        try:
            features.load_state_dict(found, assign=True)
        except RuntimeError as error:
            raise TsainError(
                f"{weights} holds no weights of VGG16 ({first_line(error)}); expected the file "
                "that torchvision calls vgg16-397923af.pth."
            ) from error
        self.features = features.eval().requires_grad_(False)
        mean, deviation = (_MEAN, _DEVIATION) if normalise else ((0.0,) * 3, (1.0,) * 3)
        self.mean: Tensor
        self.deviation: Tensor
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = (image.expand(-1, 3, -1, -1) - self.mean) / self.deviation
        found = []
        for i, module in enumerate(self.features):
            x = module(x)
            if i in LAYERS:
                found.append(x)
        return found


def _vgg_state(weights: str | Path | None) -> dict[str, Any]:
    """Weights of `features`, its keys without that prefix."""
    try:
        if weights:
            state = torch.load(Path(weights).expanduser(), map_location="cpu", weights_only=True)
        else:
            from torchvision.models import VGG16_Weights

            state = VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=False, map_location="cpu")
    except Exception as error:  # no network, no file, no such format: all mean the same here
        where = str(weights) if weights else "torchvision's cache, nor by download"
        raise TsainError(
            f"VGG16's weights cannot be had from {where} ({first_line(error)}). Download "
            "https://download.pytorch.org/models/vgg16-397923af.pth and name the file as `vgg` "
            "under [loss], or set `perceptual` and `style` to 0 to train without them."
        ) from error
    if not isinstance(state, dict):
        raise TsainError(f"{weights} holds no weights; expected torchvision's VGG16 file.")
    return {str(k).removeprefix("features."): v for k, v in state.items()}


def perceptual_loss(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Sum over layers of the mean squared difference of activations (equation 15)."""
    return torch.stack([(x - y).square().mean() for x, y in zip(a, b, strict=True)]).sum()


def style_loss(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Sum over layers of the mean squared difference of Gram matrices (equation 16)."""
    pairs = zip(a, b, strict=True)
    return torch.stack([(gram(x) - gram(y)).square().mean() for x, y in pairs]).sum()


def gram(features: Tensor) -> Tensor:
    """F F^T / (C H W) of features (N, C, H, W): (N, C, C)."""
    n, c, h, w = features.shape
    flat = features.reshape(n, c, h * w)
    return flat @ flat.transpose(1, 2) / (c * h * w)
