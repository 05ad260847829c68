"""An adversary: a small network that tells computed slices from real ones, to make them sharp.

It sees a slice between its two neighbours, patch by patch (PatchGAN, Isola et al. 2017; conditional
as there), and learns by the hinge loss with spectral normalisation (Miyato et al. 2018). Its own
features are compared as well (feature matching, Salimans et al. 2016; Wang et al. 2018).

Only what is finer than a Gaussian of 2 pixels is moved by it. Otherwise it would have the network
choose a place for every membrane where the two slices leave it open, and a wrong choice is a
structure that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..system.records import Record
from .losses import SMOOTHING_RADIUS, smoothed

_TINY = 1e-8


@dataclass(frozen=True)
class AdversarySettings(Record):
    """How much the adversary counts, and how it learns.

    Attributes
    ----------
    share : float
        Size of its gradient in each image, of the size of what all other terms have there; 0 trains
        without it. Clean and noisy triplets thus feel it alike.
    matching : float
        Weight of feature matching beside the verdict itself.
    alone : int
        Steps in which the adversary learns but does not count yet.
    lr : float
        Its learning rate.
    channels : int
        Of its first layer; twice and four times as many follow.
    """

    share: float = 0.0
    matching: float = 1.0
    alone: int = 50
    lr: float = 4e-4
    channels: int = 24

    def __post_init__(self) -> None:
        if min(self.share, self.matching, self.alone) < 0 or self.lr <= 0 or self.channels < 1:
            raise ValueError(
                f"an adversary has a share of {self.share}, matching {self.matching}, {self.alone} "
                f"steps alone, a rate of {self.lr} and {self.channels} channels; nothing below 0, "
                "a rate above 0 and channels from 1 are required"
            )


class PatchCritic(nn.Module):
    """Verdict on each patch of 22 x 22 pixels: above 0 where it looks real.

    Parameters
    ----------
    channels : int
        Of the first layer.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        self.layers = nn.ModuleList(
            spectral_norm(layer)
            for layer in (
                nn.Conv2d(3, c, 3, padding=1),
                nn.Conv2d(c, 2 * c, 4, stride=2, padding=1),
                nn.Conv2d(2 * c, 4 * c, 4, stride=2, padding=1),
                nn.Conv2d(4 * c, 1, 3, padding=1),
            )
        )

    def forward(self, before: Tensor, between: Tensor, after: Tensor) -> list[Tensor]:
        """Features of each layer, and last the verdict.

        Parameters
        ----------
        before, between, after : Tensor, (N, 1, H, W)
            H and W multiples of 4.

        Returns
        -------
        list of Tensor
            (N, C, H, W), (N, 2C, H/2, W/2), (N, 4C, H/4, W/4), (N, 1, H/4, W/4).
        """
        # brightness and contrast of the pair say nothing about what is real
        pair = torch.cat([before, after], 1)
        mean, deviation = pair.mean((1, 2, 3), keepdim=True), pair.std((1, 2, 3), keepdim=True)
        x = (torch.cat([before, between, after], 1) - mean) / (deviation + 0.02)
        found = []
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
            found.append(x)
        return [*found, self.layers[-1](x)]


def fine_alone(images: Tensor) -> Tensor:
    """The same images (N, 1, H, W), with a gradient to their fine detail alone."""
    coarse = smoothed(F.pad(images, (SMOOTHING_RADIUS,) * 4, "reflect"))
    return images - coarse + coarse.detach()


class Adversary:
    """The critic and its training.

    Parameters
    ----------
    settings : AdversarySettings
    device : torch.device
    """

    def __init__(self, settings: AdversarySettings, device: torch.device) -> None:
        self.settings = settings
        self.critic = PatchCritic(settings.channels).to(device)
        self.optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=settings.lr, betas=(0.5, 0.99)
        )

    def learn(self, before: Tensor, prediction: Tensor, truth: Tensor, after: Tensor) -> float:
        """One step of the critic on slices (N, 1, H, W); its hinge loss, 0 to about 2."""
        self.critic.requires_grad_(True)
        real = self.critic(before, truth, after)[-1]
        computed = self.critic(before, prediction.detach(), after)[-1]
        loss = F.relu(1 - real).mean() + F.relu(1 + computed).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if torch.isfinite(loss):
            self.optimizer.step()
        return float(loss.detach())

    def add_to(
        self, loss: Tensor, step: int, before: Tensor, prediction: Tensor, truth: Tensor,
        after: Tensor,
    ) -> Tensor:  # fmt: skip
        """A loss of `prediction` with the adversary's part, balanced image by image.

        Parameters
        ----------
        loss : Tensor, scalar
            All other terms, computed from `prediction`.
        step : int
        before, prediction, truth, after : Tensor, (N, 1, H, W)

        Returns
        -------
        Tensor, scalar
        """
        if step < self.settings.alone:
            return loss
        self.critic.requires_grad_(False)
        with torch.no_grad():
            wanted = self.critic(before, truth, after)
        found = self.critic(before, fine_alone(prediction), after)
        each = -found[-1].mean((1, 2, 3))
        for f, w in zip(found[:-1], wanted[:-1], strict=True):
            each = each + self.settings.matching * (f - w).abs().mean((1, 2, 3))
        # as VQGAN balances its terms (Esser et al. 2021), but by the slices themselves
        others = torch.autograd.grad(loss, prediction, retain_graph=True)[0]
        own = torch.autograd.grad(each.sum(), prediction, retain_graph=True)[0]
        size = others.flatten(1).norm(dim=1) / (own.flatten(1).norm(dim=1) + _TINY)
        return loss + self.settings.share * (size * each).sum()

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser, to go on from."""
        return {"critic": self.critic.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.critic.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])
