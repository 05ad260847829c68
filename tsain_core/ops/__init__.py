"""Modulated deformable convolution: `deform_conv2d`, `DeformConv2d` and the backends behind them.

`_reference` says what is computed; `_cpu` computes it fast on CPU, `_triton` on CUDA cards, and
`_torchvision` elsewhere. `_fused` predicts the sampling points in the same kernel.
"""

from ._fused import sample_fused
from .deform_conv import Backend, DeformConv2d, choose_backend, deform_conv2d

__all__ = ["Backend", "DeformConv2d", "choose_backend", "deform_conv2d", "sample_fused"]
