"""Learning from another network's slices, whose targets carry no noise (Hinton et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..network import TSAIN
from ..system.records import Record


@dataclass(frozen=True)
class TeacherSettings(Record):
    """Which network is learnt from, and how long.

    Attributes
    ----------
    model : str
        A shipped model or a model file; without one, only the real slices are learnt from.
    steps : int
        Steps over which the teacher's share of the loss falls from all of it to `share`.
    share : float
        Its share of the loss from then on, 0 to 1.
    """

    model: str = ""
    steps: int = 1
    share: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.share <= 1:
            raise ValueError(
                f"a teacher has {self.steps} steps and a share of {self.share}; steps from 1 and a "
                "share of 0 to 1 are required"
            )

    def share_at(self, step: int) -> float:
        """The teacher's share of the loss at a step."""
        if not self.model:
            return 0.0
        return max(self.share, 1 - step / self.steps)


class Teacher:
    """Slices that a trained network computes for a batch.

    Parameters
    ----------
    network : TSAIN
    device : torch.device
    """

    def __init__(self, network: TSAIN, device: torch.device) -> None:
        self.network = network.to(device).eval().requires_grad_(False)

    @torch.no_grad()
    def slices(self, before: Tensor, after: Tensor, at: Tensor) -> Tensor:
        """Mean of both orders of the two slices.

        Parameters
        ----------
        before, after : Tensor, (N, 1, H, W)
        at : Tensor, (N,)
            Positions of the slices; a network that knows the middle only takes them as 1/2.

        Returns
        -------
        Tensor, (N, 1, H, W)
        """
        positions = self.network.settings.positions
        there: Tensor = self.network(before, after, None, at if positions else None)
        back: Tensor = self.network(after, before, None, 1 - at if positions else None)
        return (there.float() + back.float()) / 2
