"""A checkpoint as the paper's authors write it."""

from __future__ import annotations

import torch
from torch import Tensor


def conv(names: dict[str, tuple[int, ...]], name: str, c_in: int, c_out: int, k: int = 3) -> None:
    names[f"{name}.weight"] = (c_out, c_in, k, k)
    names[f"{name}.bias"] = (c_out,)


def pack(names: dict[str, tuple[int, ...]], name: str, groups: int) -> None:
    conv(names, name, 64, 64)
    conv(names, f"{name}.conv_offset_mask", 64, 27 * groups)


def authors_state(blocks: int = 10) -> dict[str, Tensor]:
    """A state dict with the names and shapes of the authors' network, every tensor different."""
    names: dict[str, tuple[int, ...]] = {}
    conv(names, "conv_first", 3, 64)
    for i in range(5):
        conv(names, f"feature_extraction.{i}.conv1", 64, 64)
        conv(names, f"feature_extraction.{i}.conv2", 64, 64)
    for name in "L2_conv1", "L2_conv2", "L3_conv1", "L3_conv2":
        conv(names, f"fea_{name}", 64, 64)
    for side in (1, 2):
        for level in (1, 2, 3):
            prefix = f"pcd_align.L{level}_"
            conv(names, f"{prefix}offset_conv1_{side}", 128, 64)
            conv(names, f"{prefix}offset_conv2_{side}", 64 if level == 3 else 128, 64)
            pack(names, f"{prefix}dcnpack_{side}", 8)
            if level < 3:
                conv(names, f"{prefix}offset_conv3_{side}", 64, 64)
                conv(names, f"{prefix}fea_conv_{side}", 128, 64)
    conv(names, "fusion1", 128, 64, 1)
    for i in range(3):
        conv(names, f"rsa.{i}.offset_conv1", 64, 64)
        conv(names, f"rsa.{i}.offset_conv2", 64, 64)
        pack(names, f"rsa.{i}.dcnpack", 1)
        conv(names, f"rsa.{i}.conv", 64, 64)
        for side in (1, 2):
            prefix = f"corrector.{i}.easy_align{side}."
            conv(names, f"{prefix}offset_conv1", 128, 64)
            conv(names, f"{prefix}offset_conv2", 64, 64)
            pack(names, f"{prefix}dcnpack", 8)
            conv(names, f"{prefix}fusion", 128, 64, 1)
    conv(names, "fusion2.0", 192, 64, 1)
    conv(names, "fusion2.2", 64, 64)
    for i in range(blocks):
        conv(names, f"recon_trunk.{i}.conv1", 64, 64)
        conv(names, f"recon_trunk.{i}.conv2", 64, 64)
    conv(names, "conv_last", 64, 3)
    return {name: torch.full(shape, float(i)) for i, (name, shape) in enumerate(names.items())}
