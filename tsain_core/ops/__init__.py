"""Modulated deformable convolution: `deform_conv2d`, `DeformConv2d` and the backends behind them.

`_reference` says what is computed, `_cpu` computes it fast on CPU, `_torchvision` elsewhere.
"""

from .deform_conv import Backend, DeformConv2d, choose_backend, deform_conv2d

__all__ = ["Backend", "DeformConv2d", "choose_backend", "deform_conv2d"]
