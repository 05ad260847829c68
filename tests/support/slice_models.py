"""A small network as a slice model, and what tests do with it."""

from __future__ import annotations

import copy
from collections.abc import Generator

import numpy as np
import torch

from tsain_core.inference.models import Image, InferenceSettings, NetworkModel, TileDone
from tsain_core.model_files.checkpoint import ModelInfo
from tsain_core.network import TSAIN

RNG = np.random.default_rng(0)


def wrap(network: TSAIN, **settings: object) -> NetworkModel:
    info = ModelInfo("small", network.settings)
    return NetworkModel(
        copy.deepcopy(network),
        info,
        torch.device("cpu"),
        InferenceSettings(**settings),  # type: ignore[arg-type]
    )


def run(work: Generator[TileDone, None, Image]) -> tuple[Image, list[TileDone]]:
    steps = []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as stop:
            return stop.value, steps


def pair(height: int, width: int) -> tuple[Image, Image]:
    a, b = RNG.random((2, height, width), np.float32)
    return a, b
