"""A small U-Net (Ronneberger et al. 2015) that finds membranes in EM slices."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import TsainError, first_line
from ..system.resources import weights_folder

_WIDTHS = (16, 32, 64)
_FILE = Path("evaluation", "membranes-vnc.safetensors")
#: Nanometres a pixel that the segmenter was trained at.
PIXEL_SIZE = 9.2


class MembraneNet(nn.Module):
    """Probability of membrane, as logits: (N, 1, H, W) of mean 0 and deviation 1 -> the same.

    H and W are multiples of 4.
    """

    def __init__(self) -> None:
        super().__init__()
        one, two, three = _WIDTHS
        self.down = nn.ModuleList([_block(1, one), _block(one, two), _block(two, three)])
        self.up = nn.ModuleList([_block(three + two, two), _block(two + one, one)])
        self.last = nn.Conv2d(one, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        kept = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for block, side in zip(self.up, kept[-2::-1], strict=True):
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = block(torch.cat([x, side], 1))
        logits: Tensor = self.last(x)
        return logits


def _block(c_in: int, c_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (c_in, c_out):
        layers += [nn.Conv2d(source, c_out, 3, padding=1), nn.GroupNorm(4, c_out), nn.ReLU()]
    return nn.Sequential(*layers)


def load_segmenter(path: str | os.PathLike[str] | None = None) -> MembraneNet:
    """The segmenter that comes with the package, or one in a file, for evaluation.

    Raises
    ------
    TsainError
        If the file is missing or holds something else.
    """
    return _load(Path(path) if path is not None else weights_folder() / _FILE)


@cache
def _load(path: Path) -> MembraneNet:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = MembraneNet()
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        network.load_state_dict(tensors)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise TsainError(
            f"{path.name} holds no membrane segmenter ({first_line(error)}); install napari-tsain "
            "again, or name a file that benchmarks/membranes.py wrote."
        ) from error
    return network.eval().requires_grad_(False)


def membranes(
    image: NDArray[np.generic], network: MembraneNet | None = None
) -> NDArray[np.float32]:
    """Probability of membrane in each pixel of a slice.

    Parameters
    ----------
    image : ndarray (y, x)
        Grey values of any range, membranes dark, at about 9 nm a pixel; see `PIXEL_SIZE`.
    network : MembraneNet, optional
        By default the one that comes with the package.

    Returns
    -------
    ndarray of float32 (y, x)
        0 to 1.
    """
    network = network or load_segmenter()
    values = np.asarray(image, np.float32)
    height, width = values.shape
    values = (values - values.mean()) / (values.std() + 1e-6)
    padded = np.pad(values, ((0, -height % 4), (0, -width % 4)), "reflect")
    with torch.inference_mode():
        found = network(torch.from_numpy(padded)[None, None]).sigmoid()[0, 0]
    return found.numpy()[:height, :width]
