"""The authors' network, written down plainly from the paper, beside ours after `tsain convert`.

Nothing of `tsain_core.network` is used for it: torchvision's deformable convolution, tensors under
the authors' names, grey values divided by 255.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import deform_conv2d

from support.authors_checkpoint import authors_state
from tsain_core.cli import main
from tsain_core.model_files.checkpoint import load, read_info
from tsain_core.volumes import open_volume


class Authors:
    """Their forward pass on a state dict, for two slices (1, 3, H, W)."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self._state = state

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        a, b = self._pyramid(first), self._pyramid(second)
        towers = [self._tower(a, b, "1"), self._tower(b, a, "2")]
        f0, f2 = a[0], b[0]
        f1 = self._conv("fusion1", torch.cat(towers, 1))
        for i in range(3):
            f1 = self._rsa(i, f1)
        for i in range(3):
            f0 = self._align(f"corrector.{i}.easy_align1", f0, f1)
            f2 = self._align(f"corrector.{i}.easy_align2", f2, f1)
        x = F.leaky_relu(self._conv("fusion2.0", torch.cat((f0, f1, f2), 1)), 0.2)
        x = F.leaky_relu(self._conv("fusion2.2", x), 0.2)
        for i in range(10):
            x = self._block(f"recon_trunk.{i}", x)
        return self._conv("conv_last", x)

    def _conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self._state[f"{name}.weight"]
        return F.conv2d(x, weight, self._state[f"{name}.bias"], stride, weight.shape[-1] // 2)

    def _lrelu(self, name: str, x: Tensor, slope: float = 0.1) -> Tensor:
        return F.leaky_relu(self._conv(name, x), slope)

    def _block(self, name: str, x: Tensor) -> Tensor:
        return x + self._conv(f"{name}.conv2", F.relu(self._conv(f"{name}.conv1", x)))

    def _sample(self, name: str, x: Tensor, guide: Tensor) -> Tensor:
        predicted = self._conv(f"{name}.conv_offset_mask", guide)
        groups = predicted.shape[1] // 27
        offset, mask = predicted[:, : 18 * groups], predicted[:, 18 * groups :].sigmoid()
        weight, bias = self._state[f"{name}.weight"], self._state[f"{name}.bias"]
        return deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)

    def _pyramid(self, image: Tensor) -> list[Tensor]:
        x = self._lrelu("conv_first", image)
        for i in range(5):
            x = self._block(f"feature_extraction.{i}", x)
        levels = [x]
        for level in ("L2", "L3"):
            x = F.leaky_relu(self._conv(f"fea_{level}_conv1", x, stride=2), 0.1)
            x = self._lrelu(f"fea_{level}_conv2", x)
            levels.append(x)
        return levels

    def _tower(self, own: list[Tensor], other: list[Tensor], side: str) -> Tensor:
        guide = feature = torch.empty(0)
        for level in (3, 2, 1):
            name = f"pcd_align.L{level}_"
            both = torch.cat((own[level - 1], other[level - 1]), 1)
            compared = self._lrelu(f"{name}offset_conv1_{side}", both)
            if level == 3:
                guide = self._lrelu(f"{name}offset_conv2_{side}", compared)
            else:
                coarse = torch.cat((compared, 2 * _up(guide)), 1)
                guide = self._lrelu(f"{name}offset_conv2_{side}", coarse)
                guide = self._lrelu(f"{name}offset_conv3_{side}", guide)
            sampled = self._sample(f"{name}dcnpack_{side}", own[level - 1], guide)
            if level == 3:
                feature = F.leaky_relu(sampled, 0.1)
                continue
            merged = torch.cat((sampled, _up(feature)), 1)
            feature = self._conv(f"{name}fea_conv_{side}", merged)
            if level == 2:
                feature = F.leaky_relu(feature, 0.1)
        return feature

    def _rsa(self, i: int, x: Tensor) -> Tensor:
        guide = self._lrelu(f"rsa.{i}.offset_conv1", x, 0.2)
        guide = self._lrelu(f"rsa.{i}.offset_conv2", guide, 0.2)
        sampled = F.leaky_relu(self._sample(f"rsa.{i}.dcnpack", x, guide), 0.2)
        return x + self._conv(f"rsa.{i}.conv", sampled)

    def _align(self, name: str, x: Tensor, reference: Tensor) -> Tensor:
        guide = self._lrelu(f"{name}.offset_conv1", torch.cat((x, reference), 1))
        guide = self._lrelu(f"{name}.offset_conv2", guide)
        return self._sample(f"{name}.dcnpack", x, guide)


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Weights as PyTorch draws them, but with offsets of some pixels."""
    generator = torch.Generator().manual_seed(0)
    drawn = {}
    for name, tensor in authors_state().items():
        fan_in = tensor[0].numel() if tensor.ndim > 1 else 64 * 9
        scale = (3.0 if "offset_mask" in name else 1.0) * fan_in**-0.5
        drawn[name] = scale * (2 * torch.rand(tensor.shape, generator=generator) - 1)
    drawn["conv_last.bias"] += 0.5
    return drawn


@pytest.fixture(scope="module")
def converted(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authors")
    torch.save({"epoch": 100, "state_dict": state}, folder / "theirs.pth")
    path = folder / "ours.safetensors"
    assert main(["convert", str(folder / "theirs.pth"), str(path)]) == 0
    return path


def theirs(state: dict[str, Tensor], before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Tensor:
    """Their result for two 8-bit slices, in grey levels: the mean of their three channels."""
    pair = (torch.from_numpy(i).float().div(255).expand(1, 3, -1, -1) for i in (before, after))
    with torch.no_grad():
        return 255 * Authors(state)(*pair)[0].mean(0)


def slices() -> NDArray[np.uint8]:
    """Low contrast: what percentiles would stretch."""
    return np.random.default_rng(0).integers(90, 150, (2, 48, 64)).astype(np.uint8)


def test_the_network_is_theirs(state: dict[str, Tensor], converted: Path) -> None:
    before, after = slices()
    network, _ = load(converted)
    pair = (torch.from_numpy(image)[None, None].float() / 255 for image in (before, after))
    with torch.no_grad():
        ours = 255 * network(*pair)[0, 0]
    expected = theirs(state, before, after)
    assert expected.std() > 1
    torch.testing.assert_close(ours, expected, rtol=0, atol=0.01)


def test_interpolation_with_converted_weights_is_theirs(
    state: dict[str, Tensor], converted: Path, tmp_path: Path
) -> None:
    before, after = slices()
    tifffile.imwrite(tmp_path / "in.tif", np.stack((before, after)))
    output = tmp_path / "out.h5"
    command = ["interpolate", str(tmp_path / "in.tif"), str(output), "--model", str(converted)]
    assert main([*command, "--device", "cpu"]) == 0
    computed = open_volume(output)[1].astype(np.float32)
    expected = theirs(state, before, after).numpy()
    seen = np.stack((before, after))
    np.testing.assert_allclose(computed, np.clip(expected, seen.min(), seen.max()), atol=0.51)
    assert open_volume(output).provenance["intensity_range"] == [0, 255]


def test_the_model_file_says_the_range(converted: Path) -> None:
    info = read_info(converted)
    assert info.scaling.fixed == (0, 255)
    assert str(info.scaling) == "0 to 255 in uint8, percentiles 0.1 and 99.9 in other types"
