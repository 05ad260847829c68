"""A training run of seconds: a small network, and noise to learn from."""

from __future__ import annotations

import numpy as np
import torch

from tsain_core.inference.intensity import IntensityRange
from tsain_core.network import TSAIN, NetworkSettings
from tsain_core.training import Trainer, TrainingSettings, TripletSampler, TripletSource

SMALL = NetworkSettings(
    channels=8, image_channels=1, feature_blocks=1, reconstruction_blocks=1,
    rsabs=1, drbs=1, groups=2, unshuffle=2, residual=True,
)  # fmt: skip


SETTINGS = TrainingSettings(
    steps=6, batch=2, crop=16, lr=1e-3, warmup=2, check_every=1, validate_every=3
)


ARRAY = np.random.default_rng(0).integers(0, 255, (8, 32, 32), np.uint8)


def trainer(settings: TrainingSettings = SETTINGS, seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    source = TripletSource(ARRAY, IntensityRange(0, 255))
    sampler = TripletSampler([source], settings.crop, settings.batch, settings.seed)
    return Trainer(TSAIN(SMALL), sampler, settings, list(source.fixed(16))[:2])


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])
