"""The halo is tried out where the network looks furthest, wherever that is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsain_core.inference.cost import receptive_radius
from tsain_core.inference.models._halo import HaloTrial
from tsain_core.inference.region import Region
from tsain_core.network import NetworkSettings, Sampling, SamplingPoints

SETTINGS = NetworkSettings(
    channels=8, image_channels=1, feature_blocks=1, reconstruction_blocks=1,
    rsabs=1, drbs=1, groups=2, unshuffle=2,
)  # fmt: skip
RADIUS = receptive_radius(SETTINGS)
FAR = RADIUS + 40  # pixels
SHAPE = (1024, 1024)


def trial(place: tuple[int, int]) -> HaloTrial:
    """A network that looks nowhere but at a disc round `place`, and from there FAR to the left."""
    image = np.random.default_rng(0).random(SHAPE, np.float32)
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    disc = (y - place[0]) ** 2 + (x - place[1]) ** 2 < 40**2

    def compute(region: Region, sampling: Sampling | None) -> torch.Tensor:
        here, inside = image[region.slices], disc[region.slices]
        there = np.pad(here, ((0, 0), (FAR, 0)))[:, : here.shape[1]]
        if sampling is not None:
            reach = torch.from_numpy(inside[::2, ::2] * np.float32(FAR / 2))
            offset = reach.expand(1, 1, 9, 2, *reach.shape)
            points = SamplingPoints(offset, torch.ones_like(offset[:, :, :, 0]), 2)
            still = SamplingPoints(0 * offset, torch.ones_like(offset[:, :, :, 0]), 2)
            sampling.temporal[0, 1] = still
            sampling.rsab.append(points)
        return torch.from_numpy(np.where(inside, there, here))

    return HaloTrial(compute, SHAPE, SETTINGS)


@pytest.mark.parametrize("place", [(512, 512), (200, 800), (930, 900), (520, 180)])
def test_a_place_that_looks_far_is_found(place: tuple[int, int]) -> None:
    halo = trial(place).measure()
    assert halo >= FAR - 128, "the disc itself lies up to 128 px within what is compared"
    assert RADIUS < halo <= FAR + 16


def test_nothing_is_added_where_offsets_are_not_used() -> None:
    """The receptive radius alone, in steps of the network's multiple."""
    still = trial((-200, -200)).measure()
    assert RADIUS <= still < RADIUS + SETTINGS.multiple


@pytest.mark.parametrize("shape", [(1, 1), (8, 600), (130, 96), (300, 2000)])
def test_slices_of_any_size(shape: tuple[int, int]) -> None:
    seen: list[Region] = []
    inner = trial((0, 0)).compute

    def compute(region: Region, sampling: Sampling | None) -> torch.Tensor:
        seen.append(region)
        assert region.y1 <= shape[0] and region.x1 <= shape[1]
        assert min(region.y0, region.x0) >= 0
        size = SETTINGS.multiple
        assert not any(side % size for side in region.shape)
        moved = Region(0, 0, *(min(n, 1024) for n in region.shape))
        return inner(moved, sampling)

    assert HaloTrial(compute, shape, SETTINGS).measure() >= RADIUS
    assert bool(seen) == (min(shape) >= SETTINGS.multiple)
