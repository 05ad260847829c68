"""Loss terms against their definitions, and SSIM against that of scikit-image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from tsain_core.training.losses import LossSettings, ssim, total_loss

RNG = np.random.default_rng(0)


def test_ssim_is_that_of_skimage() -> None:
    a = RNG.random((40, 50)).astype(np.float32)
    b = np.clip(a + RNG.normal(0, 0.2, a.shape), 0, 1).astype(np.float32)
    _, full = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, full=True
    )
    ours = ssim(*(torch.from_numpy(i)[None, None] for i in (a, b)))
    assert ours.item() == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-5)


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
