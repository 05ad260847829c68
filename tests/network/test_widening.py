"""A larger network that starts as a smaller one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tsain_core.errors import TsainError
from tsain_core.network import TSAIN, NetworkSettings, Sampling
from tsain_core.network.widening import widen

SMALL = NetworkSettings(
    channels=8, image_channels=1, feature_blocks=1, reconstruction_blocks=1,
    rsabs=1, drbs=1, groups=2, unshuffle=2, residual=True, positions=True,
)  # fmt: skip
LARGE = replace(SMALL, channels=12, feature_blocks=2, reconstruction_blocks=3, drbs=2)


def trained_looking(seed: int = 0) -> TSAIN:
    """All weights filled, those of the offsets too, so that every path counts."""
    torch.manual_seed(seed)
    network = TSAIN(SMALL).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


@pytest.fixture(scope="module")
def slices() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.rand(1, 1, 32, 40), torch.rand(1, 1, 32, 40)


@pytest.mark.parametrize("at", [None, 0.3])
def test_both_compute_the_same(slices: tuple[torch.Tensor, torch.Tensor], at: float | None) -> None:
    small = trained_looking()
    large = widen(small, LARGE).eval()
    assert large.settings == LARGE
    with torch.no_grad():
        assert torch.allclose(large(*slices, None, at), small(*slices, None, at), atol=1e-5)


def test_it_samples_where_the_smaller_one_does(slices: tuple[torch.Tensor, torch.Tensor]) -> None:
    small = trained_looking()
    kept = Sampling(), Sampling()
    with torch.no_grad():
        small(*slices, kept[0])
        widen(small, LARGE).eval()(*slices, kept[1])
    assert torch.allclose(kept[0].rsab[0].offset, kept[1].rsab[0].offset, atol=1e-5)


def test_every_new_weight_can_learn(slices: tuple[torch.Tensor, torch.Tensor]) -> None:
    """After two steps no parameter stands still, the new ones among them."""
    large = widen(trained_looking(), LARGE).train()
    start = {name: p.detach().clone() for name, p in large.named_parameters()}
    optimizer = torch.optim.SGD(large.parameters(), lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        large(*slices, None, 0.3).square().mean().backward()
        optimizer.step()
    still = [n for n, p in large.named_parameters() if torch.equal(p, start[n])]
    assert not still


@pytest.mark.parametrize(
    "other", [{"channels": 6}, {"groups": 4}, {"rsabs": 2}, {"positions": False}]
)
def test_what_is_not_larger_is_refused(other: dict[str, int]) -> None:
    with pytest.raises(TsainError, match="cannot become"):
        widen(trained_looking(), replace(LARGE, **other))
