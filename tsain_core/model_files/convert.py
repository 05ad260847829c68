"""Bring weights that were trained with the authors' own code.

Their names are those of the files released at zejinwang/TSADR (MIT licence), saved as
`{"epoch": ..., "state_dict": ...}`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import TsainError
from ..network import TSAIN, NetworkSettings
from ..volumes._guard import require_regular
from .checkpoint import ModelInfo

# dcnpack holds the deformable convolution itself and the convolution that predicts offsets
_SAMPLE = {"dcnpack.conv_offset_mask": "sample.offset_conv", "dcnpack": "sample.deform"}
_TOWER = {"offset_conv1": "compare", "offset_conv2": "guide", "offset_conv3": "refine",
          "fea_conv": "merge", **_SAMPLE}  # fmt: skip
_RSAB = {"offset_conv1": "guide.0", "offset_conv2": "guide.1", "conv": "conv", **_SAMPLE}
_ALIGN = {"offset_conv1": "compare", "offset_conv2": "guide", **_SAMPLE}
_PLAIN = {
    "conv_first": "encoder.first",
    "fea_L2_conv1": "encoder.down.0",
    "fea_L2_conv2": "encoder.after.0",
    "fea_L3_conv1": "encoder.down.1",
    "fea_L3_conv2": "encoder.after.1",
    "fusion1": "temporal_fusion",
    "fusion2.0": "reconstruction.fuse.0",
    "fusion2.2": "reconstruction.fuse.1",
    "conv_last": "reconstruction.last",
}
_SIDE = {"1": "0", "2": "2"}  # theirs count the sampled slices 1 and 2, ours are slices 0 and 2
_RANGE = (0.0, 255.0)  # they divide 8-bit images by 255
_UNUSED = re.compile(r"corrector\.\d+\.easy_align[12]\.fusion")


def rename(name: str) -> str | None:
    """Our name of one of the authors' tensors; None for those that their network never uses.

    Raises
    ------
    KeyError
        If the name is none of theirs.
    """
    module, _, leaf = name.removeprefix("module.").rpartition(".")
    if _UNUSED.fullmatch(module):
        return None
    return f"{_rename_module(module)}.{leaf}"


def _rename_module(module: str) -> str:
    if module in _PLAIN:
        return _PLAIN[module]
    if m := re.fullmatch(r"feature_extraction\.(\d+\.conv[12])", module):
        return f"encoder.blocks.{m[1]}"
    if m := re.fullmatch(r"recon_trunk\.(\d+\.conv[12])", module):
        return f"reconstruction.blocks.{m[1]}"
    if m := re.fullmatch(r"pcd_align\.L([123])_(\w+?)_([12])(\.conv_offset_mask)?", module):
        part = _TOWER[m[2] + (m[4] or "")]
        return f"temporal{_SIDE[m[3]]}.levels.{int(m[1]) - 1}.{part}"
    if m := re.fullmatch(r"rsa\.(\d+)\.(.+)", module):
        return f"rsabs.{m[1]}.{_RSAB[m[2]]}"
    if m := re.fullmatch(r"corrector\.(\d+)\.easy_align([12])\.(.+)", module):
        return f"drbs.{m[1]}.align{_SIDE[m[2]]}.{_ALIGN[m[3]]}"
    raise KeyError(module)


def _count(names: Mapping[str, Tensor], pattern: str) -> int:
    return len({m[1] for name in names if (m := re.match(pattern, name))})


def network_from_authors(state: Mapping[str, Tensor]) -> TSAIN:
    """Network with the weights of a state dict under the authors' names.

    The number of blocks and channels is read off the tensors.

    Raises
    ------
    TsainError
        If a tensor is missing, unknown or of another shape.
    """
    try:
        ours = {new: value for name, value in state.items() if (new := rename(name)) is not None}
    except KeyError as error:
        raise TsainError(
            f"The checkpoint has a tensor of module {error.args[0]!r}, which the authors' TSAIN "
            "network does not; expected a state dict of that network."
        ) from error
    offsets = ours.get("drbs.0.align0.sample.offset_conv.weight")
    first = ours.get("encoder.first.weight")
    if first is None or offsets is None or first.ndim != 4 or offsets.ndim != 4:
        raise TsainError(
            "The checkpoint lacks the convolutions conv_first or corrector.0; expected a state "
            "dict of the authors' TSAIN network."
        )
    settings = replace(
        NetworkSettings(),
        channels=first.shape[0],
        image_channels=first.shape[1],
        groups=offsets.shape[0] // 27,
        feature_blocks=_count(ours, r"encoder\.blocks\.(\d+)"),
        reconstruction_blocks=_count(ours, r"reconstruction\.blocks\.(\d+)"),
        rsabs=_count(ours, r"rsabs\.(\d+)"),
        drbs=_count(ours, r"drbs\.(\d+)"),
    )
    network = TSAIN(settings)
    try:
        network.load_state_dict(ours)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise TsainError(f"The checkpoint does not fit the TSAIN network: {reason}") from error
    return network


def convert(path: str | os.PathLike[str], name: str | None = None) -> tuple[TSAIN, ModelInfo]:
    """Read a checkpoint of the authors' code.

    Only tensors are unpickled (`torch.load(weights_only=True)`).

    Parameters
    ----------
    path : path of a .pth or .pt file
    name : str, optional
        Of the model; the file's stem by default.

    Raises
    ------
    TsainError
        If the file cannot be read or holds something else.
    """
    path = Path(path)
    require_regular(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise TsainError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        with file:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes of a file that is none lead the unpickler to
        raise TsainError(
            f"{path} cannot be read as a PyTorch checkpoint ({type(error).__name__}); expected a "
            "whole file written by torch.save, with tensors and numbers only: code is never run."
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise TsainError(f"{path.name} holds no state dict; expected one of tensors by name.")
    network = network_from_authors(state)
    epoch = content.get("epoch")
    training = {"converted_from": path.name, "epoch": epoch if isinstance(epoch, int) else None}
    info = ModelInfo(name or path.stem, network.settings, training=training, intensity_range=_RANGE)
    return network.eval(), info
