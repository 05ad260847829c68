"""Activation checkpointing: less memory in training, for a second forward pass."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..network import RSAB, TSAIN, Alignment, PyramidLevel, ResidualBlock

Forward = Callable[..., object]


def checkpoint_activations(network: TSAIN) -> None:
    """Keep only what goes into each block; the backward pass computes the rest again.

    Applies to this object alone, not to copies made before. After `torch.utils.checkpoint`
    (Chen et al. 2016).
    """
    for module in network.modules():
        if isinstance(module, ResidualBlock | PyramidLevel | RSAB | Alignment):
            module.forward = _checkpointed(module.forward)  # type: ignore[method-assign,assignment]


def _checkpointed(forward: Forward) -> Forward:
    def run(*arguments: object) -> object:
        # a block that is to record its sampling points must not run twice
        records = any(callable(a) and not isinstance(a, Tensor) for a in arguments)
        if records:
            return forward(*arguments)
        return checkpoint(forward, *arguments, use_reentrant=False)

    return run
