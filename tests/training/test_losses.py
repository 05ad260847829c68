"""Loss terms against their definitions, and SSIM against that of scikit-image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchvision.models.vgg import cfgs, make_layers

from tsain_core.errors import TsainError
from tsain_core.training.losses import (
    LOSSES,
    LossSettings,
    radial_spectrum,
    spectrum_loss,
    ssim,
    stripes,
    total_loss,
)
from tsain_core.training.perceptual import VggFeatures

RNG = np.random.default_rng(0)


def test_ssim_is_that_of_skimage() -> None:
    a = RNG.random((40, 50)).astype(np.float32)
    b = np.clip(a + RNG.normal(0, 0.2, a.shape), 0, 1).astype(np.float32)
    _, full = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, full=True
    )
    ours = ssim(*(torch.from_numpy(i)[None, None] for i in (a, b)))
    assert ours.item() == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-5)


def test_a_wave_has_its_power_at_its_frequency() -> None:
    x = torch.arange(64) / 64
    wave = torch.sin(2 * torch.pi * 12 * x).expand(1, 1, 64, 64)
    assert radial_spectrum(wave).shape == (1, 32)
    assert int(radial_spectrum(wave).argmax()) == 12 - 1  # rings begin at one cycle
    assert int(radial_spectrum(wave.transpose(2, 3)).argmax()) == 12 - 1


def test_stripes_are_found_in_rows_columns_and_checkerboards_alone() -> None:
    smooth = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    sign = 1 - 2.0 * (torch.arange(64) % 2)
    for pattern in (sign.expand(64, 64), sign[:, None].expand(64, 64), sign * sign[:, None]):
        striped = smooth + 0.1 * pattern
        assert float(stripes(striped)) == pytest.approx(0.1 / 3, abs=0.006)
    assert float(stripes(smooth)) < 0.006
    nothing = LossSettings(mse=0, charbonnier=0, ssim=0)
    loss = total_loss(striped, smooth, replace(nothing, stripes=2.0))
    torch.testing.assert_close(loss, 2 * stripes(striped))


def test_detail_counts_wherever_it_lies() -> None:
    noise = torch.from_numpy(RNG.normal(0.5, 0.1, (2, 1, 64, 64)).astype(np.float32))
    moved, soft = noise.roll(5, 3), torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    assert spectrum_loss(noise, noise) == 0
    assert spectrum_loss(moved, noise) < 0.3 * spectrum_loss(soft, noise)
    nothing = LossSettings(mse=0, charbonnier=0, ssim=0)
    soft.requires_grad_()
    loss = total_loss(soft, noise, replace(nothing, spectrum=2.0))
    torch.testing.assert_close(loss, 2 * spectrum_loss(soft, noise))
    loss.backward()
    assert torch.isfinite(soft.grad).all() and soft.grad.abs().max() > 0


def test_loss_terms() -> None:
    a, b = torch.rand(2, 1, 1, 20, 20)
    d = a - b
    nothing = LossSettings(mse=0, charbonnier=0, ssim=0)
    assert total_loss(a, b, nothing) == 0
    mse = total_loss(a, b, replace(nothing, mse=2.0))
    torch.testing.assert_close(mse, 2 * d.square().mean())
    robust = total_loss(a, b, replace(nothing, charbonnier=1.0, eps=1e-6))
    torch.testing.assert_close(robust, d.abs().mean(), atol=1e-5, rtol=0)
    torch.testing.assert_close(total_loss(a, b, replace(nothing, ssim=0.5)), (1 - ssim(a, b)) / 2)
    assert total_loss(a, a, LossSettings()).abs() < 1e-6


@pytest.mark.parametrize("term", ["mse", "charbonnier", "ssim"])
def test_each_term_falls_towards_the_truth(term: str) -> None:
    """Its gradient leads there, and is finite even where the images agree."""
    settings = replace(LossSettings(mse=0, charbonnier=0, ssim=0), **{term: 1.0})
    truth = torch.rand(1, 1, 16, 16)
    guess = (truth + 0.1 * torch.randn_like(truth)).requires_grad_()
    loss = total_loss(guess, truth, settings)
    (slope,) = torch.autograd.grad(loss, guess)
    assert total_loss(guess - 0.01 * slope / slope.norm(), truth, settings) < loss
    same = truth.clone().requires_grad_()
    (slope,) = torch.autograd.grad(total_loss(same, truth, settings), same)
    assert slope.abs().max() < 1e-5


@pytest.fixture(scope="module")
def vgg16_features() -> torch.nn.Sequential:
    """The `features` of torchvision's VGG16 with random weights, without its large classifier."""
    torch.manual_seed(0)
    return make_layers(cfgs["D"])


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory, vgg16_features: torch.nn.Sequential) -> Path:
    """VGG16 as torchvision saves it."""
    state = {f"features.{k}": v for k, v in vgg16_features.state_dict().items()}
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save(state, path)
    return path


@pytest.mark.parametrize("normalise", [False, True])
def test_features_are_the_activations_named_in_the_paper(
    vgg_file: Path, vgg16_features: torch.nn.Sequential, normalise: bool
) -> None:
    image = torch.rand(2, 1, 32, 32)
    x = image.repeat(1, 3, 1, 1)
    if normalise:
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = (x - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    got = VggFeatures(vgg_file, normalise)(image)
    assert [f.shape[1] for f in got] == [64, 128, 256, 512]
    for features, last in zip(got, (3, 8, 15, 22), strict=True):
        assert isinstance(vgg16_features[last], torch.nn.ReLU)
        torch.testing.assert_close(features, vgg16_features[: last + 1](x))


def test_perceptual_and_style_terms(vgg_file: Path) -> None:
    """As the authors' code has them: squared errors of activations and of Gram matrices."""
    vgg = VggFeatures(vgg_file)
    a, b = torch.rand(2, 1, 1, 32, 32)
    paper = replace(LOSSES["paper"], vgg=str(vgg_file))
    perceptual, style = 0.0, 0.0
    for x, y in zip(vgg(a), vgg(b), strict=True):
        perceptual += float((x - y).square().mean())
        c, pixels = x.shape[1], x.shape[2] * x.shape[3]
        p, q = (f[0].reshape(c, pixels) for f in (x, y))
        style += float(((p @ p.T - q @ q.T) / (c * pixels)).square().mean())
    want = float((a - b).square().mean()) + perceptual + 1e6 * style
    assert style > 0
    assert total_loss(a, b, paper, vgg).item() == pytest.approx(want, rel=1e-4)
    a.requires_grad_()
    total_loss(a, b, paper, vgg).backward()
    assert a.grad is not None
    assert a.grad.abs().max() > 0
    assert all(p.grad is None for p in vgg.parameters())
    with pytest.raises(ValueError, match="pass vgg"):
        total_loss(a, b, paper)


@pytest.mark.parametrize("content", [None, b"nonsense", {"features.0.weight": torch.zeros(1)}])
def test_without_vgg_the_choice_is_clear(content: object, tmp_path: Path) -> None:
    path = tmp_path / "vgg.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(TsainError, match="vgg16-397923af.pth"):
        VggFeatures(path)
