"""Start a larger network from a smaller one: at first both compute the same (Net2Net).

T. Chen, I. Goodfellow, J. Shlens: "Net2Net: Accelerating Learning via Knowledge Transfer" (2016).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ..errors import TsainError
from .settings import NetworkSettings
from .tsain import DRB, TSAIN, ResidualBlock


def widen(small: TSAIN, settings: NetworkSettings) -> TSAIN:
    """A larger network whose slices are at first those of a smaller one.

    New channels are filled as in a new network, and what reads them starts at zero. New residual
    blocks add nothing, new refinement blocks pass on what they are given.

    Parameters
    ----------
    small : TSAIN
    settings : NetworkSettings
        As the smaller network's, with as many channels or more, and as many blocks of each kind or
        more; RSABs excepted, of which both have the same number.

    Raises
    ------
    TsainError
        If the settings differ in anything else, or ask for less.
    """
    _check(small.settings, settings)
    large = TSAIN(settings)
    known = small.state_dict()
    state = large.state_dict()
    for name, new in state.items():
        old = known.get(name)
        if old is not None:
            state[name] = _filled(new, old, small.settings, settings, _starts_full(name))
    large.load_state_dict(state)
    for block in large.encoder.blocks[small.settings.feature_blocks :]:
        _add_nothing(block)
    for block in large.reconstruction.blocks[small.settings.reconstruction_blocks :]:
        _add_nothing(block)
    for block in large.drbs[small.settings.drbs :]:
        _pass_on(block)
    return large


def _check(small: NetworkSettings, large: NetworkSettings) -> None:
    sizes = ("channels", "feature_blocks", "reconstruction_blocks", "drbs")
    same = replace(large, **{name: getattr(small, name) for name in sizes})
    if same != small or any(getattr(large, name) < getattr(small, name) for name in sizes):
        raise TsainError(
            f"A network of {small} cannot become one of {large}: only channels, residual blocks "
            "and refinement blocks may be more."
        )


def _starts_full(name: str) -> bool:
    """Whether new entries keep what a new network has: those of biases and per-channel weights."""
    return name.endswith(("bias", "position", "slope"))


def _filled(
    new: Tensor, old: Tensor, small: NetworkSettings, large: NetworkSettings, full: bool
) -> Tensor:
    """`new` with `old` in the places of the old channels."""
    spots = [_spots(o, n, small, large) for o, n in zip(old.shape, new.shape, strict=True)]
    out = new.clone()
    if not full and len(spots) > 1 and old.shape[1] != new.shape[1]:
        fresh = torch.ones(new.shape[1], dtype=torch.bool)
        fresh[spots[1]] = False
        rows = out[spots[0]]
        rows[:, fresh] = 0  # old channels do not read new ones yet
        out[spots[0]] = rows
    out[torch.meshgrid(*spots, indexing="ij")] = old
    return out


def _spots(old: int, new: int, small: NetworkSettings, large: NetworkSettings) -> Tensor:
    """Where the old entries of a dimension lie among the new ones, group by group."""
    if old == new:
        return torch.arange(old)
    copies = old // small.channels  # features that were put one after the other
    width, wider = (s.channels // s.groups for s in (small, large))
    channel = torch.arange(small.channels)
    place = channel // width * wider + channel % width
    return torch.cat([place + i * large.channels for i in range(copies)])


def _add_nothing(block: nn.Module) -> None:
    assert isinstance(block, ResidualBlock)
    nn.init.zeros_(block.conv2.weight)


def _pass_on(block: nn.Module) -> None:
    """Sampling in place, at half weight, times two."""
    assert isinstance(block, DRB)
    for align in (block.align0, block.align2):
        deform = align.sample.deform
        with torch.no_grad():
            deform.weight.zero_()
            centre = deform.weight.shape[-1] // 2
            deform.weight[:, :, centre, centre] = 2 * torch.eye(len(deform.weight))
            if deform.bias is not None:
                deform.bias.zero_()
