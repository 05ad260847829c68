"""TSAIN, the temporal spatial-adaptive interpolation network, in the order of the paper.

Z. Wang, G. Sun, L. Zhang, G. Li, H. Han: "Temporal Spatial-Adaptive Interpolation with Deformable
Refinement for Electron Microscopic Images" (2021). Equation numbers in the docstrings are those of
the paper. The pyramid of the temporal step is PCD (Wang et al. 2019, EDVR) as used in
Zooming-Slow-Mo (Xiang et al. 2020), one tower for each of the two slices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import DeformConv2d, sample_fused
from ..ops._autocast import autocast_off
from .points import Sampling, SamplingPoints
from .settings import PRESETS, NetworkSettings

Keep = Callable[[SamplingPoints], None]
#: Fraction of the way from the first slice to the second; None is half-way.
At = Tensor | float | None


@dataclass(frozen=True)
class Features:
    """Features of one slice: `levels[0]` is F, then the pyramid at 1/2 and 1/4 of its size."""

    levels: tuple[Tensor, Tensor, Tensor]

    @property
    def nbytes(self) -> int:
        """Memory they take."""
        return sum(level.numel() * level.element_size() for level in self.levels)


def conv(c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Convolution that keeps the size at stride 1."""
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2)


def _lrelu(x: Tensor, slope: float = 0.1) -> Tensor:
    return F.leaky_relu(x, slope)


def _up2(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))), without normalisation (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels)
        self.conv2 = conv(channels, channels)
        for layer in (self.conv1, self.conv2):
            if layer.weight.is_meta:  # nothing to fill, and trying would import torch's compiler
                continue
            nn.init.kaiming_normal_(layer.weight, a=0, mode="fan_in")
            layer.weight.data.mul_(0.1)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class AdaptiveSampling(nn.Module):
    """Deformable convolution that predicts its own sampling points (equation 11).

    Offsets start at zero and the modulation at 0.5, so that it begins as an ordinary convolution.
    """

    def __init__(self, channels: int, groups: int, stride: int) -> None:
        super().__init__()
        self.groups, self.stride = groups, stride
        self.offset_conv = conv(channels, 27 * groups)
        self.deform = DeformConv2d(channels, channels)
        nn.init.zeros_(self.offset_conv.weight)
        nn.init.zeros_(self.offset_conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, guide: Tensor, keep: Keep | None = None) -> Tensor:
        """Sample `x` (N, C, H, W) where features `guide` of the same shape say."""
        fused = sample_fused(x, guide, self.offset_conv, self.deform) if keep is None else None
        if fused is not None:
            return fused
        # Offsets in bfloat16 would be off by 1/8 of a pixel at 20 pixels, so not under autocast.
        dtype = torch.promote_types(guide.dtype, torch.float32)
        with autocast_off(guide.device):
            parameters = self.offset_conv(guide.to(dtype))
        offset = parameters[:, : 18 * self.groups]
        mask = torch.sigmoid(parameters[:, 18 * self.groups :])
        if keep is not None:
            n, _, h, w = offset.shape
            by_tap = offset.reshape(n, self.groups, 9, 2, h, w)
            keep(SamplingPoints(by_tap, mask.reshape(n, self.groups, 9, h, w), self.stride))
        out: Tensor = self.deform(x, offset, mask)
        return out


class Encoder(nn.Module):
    """First convolution, k1 residual blocks, pyramid: what each slice goes through alone."""

    def __init__(self, s: NetworkSettings) -> None:
        super().__init__()
        c = s.channels
        self.first = conv(s.image_channels * s.unshuffle**2, c)
        self.blocks = nn.Sequential(*(ResidualBlock(c) for _ in range(s.feature_blocks)))
        self.down = nn.ModuleList(conv(c, c, stride=2) for _ in range(2))
        self.after = nn.ModuleList(conv(c, c) for _ in range(2))

    def forward(self, image: Tensor) -> Features:
        levels = [self.blocks(_lrelu(self.first(image)))]  # N x C x H x W
        for down, after in zip(self.down, self.after, strict=True):
            levels.append(_lrelu(after(_lrelu(down(levels[-1])))))  # halves H and W
        return Features((levels[0], levels[1], levels[2]))


class PyramidLevel(nn.Module):
    """One level of a temporal tower; the coarsest has nothing below it."""

    def __init__(self, s: NetworkSettings, level: int) -> None:
        super().__init__()
        c, coarsest = s.channels, level == 3
        self.compare = conv(2 * c, c)
        self.guide = conv(c if coarsest else 2 * c, c)
        self.refine = None if coarsest else conv(c, c)
        self.sample = AdaptiveSampling(c, s.groups, s.unshuffle * 2 ** (level - 1))
        self.merge = None if coarsest else conv(2 * c, c)
        # same as a channel that holds the position, without its cost
        self.position = nn.Parameter(torch.zeros(c, 1, 1)) if s.positions else None

    def forward(
        self,
        a: Tensor,
        b: Tensor,
        below: tuple[Tensor, Tensor] | None,
        keep: Keep | None,
        lean: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Guide features and sampled features of this level, before the last activation.

        `lean` (N, 1, 1, 1) is 0 half-way, 1 at the other slice and -1 at the sampled one.
        """
        compared = self.compare(torch.cat([a, b], 1))
        if self.position is not None and lean is not None:
            compared = compared + (lean * self.position).to(compared.dtype)
        guide = _lrelu(compared)
        if below is None or self.refine is None or self.merge is None:
            guide = _lrelu(self.guide(guide))
            return guide, self.sample(a, guide, keep)
        # doubled, since offsets are in pixels, of which there are twice as many here
        guide = _lrelu(self.guide(torch.cat([guide, 2 * _up2(below[0])], 1)))
        guide = _lrelu(self.refine(guide))
        sampled = self.sample(a, guide, keep)
        return guide, self.merge(torch.cat([sampled, _up2(below[1])], 1))


class TemporalSampling(nn.Module):
    """T_0 or T_2: sample one slice, guided by both, coarse to fine (equations 2 and 3)."""

    def __init__(self, s: NetworkSettings) -> None:
        super().__init__()
        self.levels = nn.ModuleList(PyramidLevel(s, level) for level in (1, 2, 3))

    def forward(
        self,
        a: Features,
        b: Features,
        keep: Callable[[int], Keep | None] = lambda level: None,
        lean: Tensor | None = None,
    ) -> Tensor:
        """Features of slice `a` moved to the slice between, (N, C, H, W).

        `lean` (N, 1, 1, 1) is 0 half-way, 1 at slice `b` and -1 at slice `a`.
        """
        below: tuple[Tensor, Tensor] | None = None
        for i in (2, 1, 0):
            guide, sampled = self.levels[i](a.levels[i], b.levels[i], below, keep(i + 1), lean)
            below = guide, (_lrelu(sampled) if i > 0 else sampled)
        assert below is not None
        return below[1]


class RSAB(nn.Module):
    """Residual spatial-adaptive block (equations 5 to 7); nine sampling points a pixel."""

    def __init__(self, s: NetworkSettings) -> None:
        super().__init__()
        c = s.channels
        self.guide = nn.ModuleList([conv(c, c), conv(c, c)])
        self.sample = AdaptiveSampling(c, 1, s.unshuffle)
        self.conv = conv(c, c)

    def forward(self, x: Tensor, keep: Keep | None = None) -> Tensor:
        guide = x
        for layer in self.guide:
            guide = _lrelu(layer(guide), 0.2)
        out: Tensor = self.conv(_lrelu(self.sample(x, guide, keep), 0.2)) + x
        return out


class Alignment(nn.Module):
    """One direction of a refinement block: sample a slice where the middle one says (eqs 9, 10)."""

    def __init__(self, s: NetworkSettings) -> None:
        super().__init__()
        c = s.channels
        self.compare = conv(2 * c, c)
        self.guide = conv(c, c)
        self.sample = AdaptiveSampling(c, s.groups, s.unshuffle)

    def forward(self, outer: Tensor, middle: Tensor, keep: Keep | None = None) -> Tensor:
        guide = _lrelu(self.compare(torch.cat([outer, middle], 1)))
        out: Tensor = self.sample(outer, _lrelu(self.guide(guide)), keep)
        return out


class DRB(nn.Module):
    """Deformable refinement block (equation 8): F_0 and F_2 are aligned to F_1, which stays."""

    def __init__(self, s: NetworkSettings) -> None:
        super().__init__()
        self.align0, self.align2 = Alignment(s), Alignment(s)

    def forward(
        self, f0: Tensor, f1: Tensor, f2: Tensor, keep: Callable[[int], Keep | None]
    ) -> tuple[Tensor, Tensor]:
        return self.align0(f0, f1, keep(0)), self.align2(f2, f1, keep(2))


class Reconstruction(nn.Module):
    """Fusion of the three features, k2 residual blocks, last convolution."""

    def __init__(self, s: NetworkSettings) -> None:
        super().__init__()
        c = s.channels
        self.fuse = nn.ModuleList([conv(3 * c, c, 1), conv(c, c)])
        self.blocks = nn.Sequential(*(ResidualBlock(c) for _ in range(s.reconstruction_blocks)))
        self.last = conv(c, s.image_channels * s.unshuffle**2)

    def forward(self, f0: Tensor, f1: Tensor, f2: Tensor) -> Tensor:
        x = torch.cat([f0, f1, f2], 1)
        for layer in self.fuse:
            x = _lrelu(layer(x), 0.2)
        out: Tensor = self.last(self.blocks(x))
        return out


class SideWeights(nn.Module):
    """Channel weights of two sides by position: the nearer slice counts for more.

    Half-way both are 1. `start` is how far the weight falls at the beginning of training from one
    slice to the other: with 1, from 2 to 0.
    """

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.full((2, channels, 1, 1), start))

    def forward(self, x0: Tensor, x2: Tensor, lean: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted features (N, C, H, W); `lean` (N, 1, 1, 1) is -1 at slice 0, 1 at slice 2."""
        w0, w2 = 1 - lean * self.slope[0], 1 + lean * self.slope[1]
        return x0 * w0.to(x0.dtype), x2 * w2.to(x2.dtype)


class TSAIN(nn.Module):
    """A slice between two slices, half-way unless `settings.positions`.

    Grey images (N, 1, H, W) in [0, 1]; H and W multiples of `settings.multiple`. Since the two
    directions have weights of their own, swapping the slices changes the result.
    """

    def __init__(self, settings: NetworkSettings = PRESETS["tsain"]) -> None:
        super().__init__()
        self.settings = settings
        c = settings.channels
        self.encoder = Encoder(settings)
        self.temporal0, self.temporal2 = TemporalSampling(settings), TemporalSampling(settings)
        self.temporal_fusion = conv(2 * c, c, 1)
        self.temporal_weights = SideWeights(c, 1.0) if settings.positions else None
        self.feature_weights = SideWeights(c, 0.0) if settings.positions else None
        self.rsabs = nn.ModuleList(RSAB(settings) for _ in range(settings.rsabs))
        self.drbs = nn.ModuleList(DRB(settings) for _ in range(settings.drbs))
        self.reconstruction = Reconstruction(settings)

    def encode(self, image: Tensor) -> Features:
        """Features of one slice (N, 1, H, W); they serve the pairs on both sides of it."""
        h, w = image.shape[-2:]
        m = self.settings.multiple
        if h % m or w % m:
            raise ValueError(f"Image is {h} x {w}; expected multiples of {m}: pad it.")
        x = F.pixel_unshuffle(image, self.settings.unshuffle)
        features: Features = self.encoder(x.repeat_interleave(self.settings.image_channels, 1))
        return features

    def between(
        self, a: Features, b: Features, sampling: Sampling | None = None, at: At = None
    ) -> Tensor:
        """Image, or residual, between two slices, from their features (equation 1)."""
        out = self.reconstruction(*self.sample(a, b, sampling, at))
        return F.pixel_shuffle(out, self.settings.unshuffle).mean(1, keepdim=True)  # (N, 1, H, W)

    def sample(
        self, a: Features, b: Features, sampling: Sampling | None = None, at: At = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """F_0, F_1 and F_2 as reconstruction takes them: all of the sampling, and no image yet."""

        def put(store: dict, key: tuple[int, int]) -> Keep | None:  # type: ignore[type-arg]
            return None if sampling is None else lambda points: store.__setitem__(key, points)

        record = sampling if sampling is not None else Sampling()
        f0, f2 = a.levels[0], b.levels[0]
        lean = self._lean(at, f0.device)
        back = None if lean is None else -lean
        t0 = self.temporal0(a, b, lambda level: put(record.temporal, (0, level)), lean)
        t2 = self.temporal2(b, a, lambda level: put(record.temporal, (2, level)), back)
        if self.temporal_weights is not None and lean is not None:
            t0, t2 = self.temporal_weights(t0, t2, lean)
        f1 = self.temporal_fusion(torch.cat([t0, t2], 1))  # equation 4
        for rsab in self.rsabs:
            f1 = rsab(f1, record.rsab.append if sampling is not None else None)
        for i, drb in enumerate(self.drbs):  # equation 12
            f0, f2 = drb(f0, f1, f2, lambda side, i=i: put(record.drb, (i, side)))
        if self.feature_weights is not None and lean is not None:
            f0, f2 = self.feature_weights(f0, f2, lean)
        return f0, f1, f2

    def _lean(self, at: At, device: torch.device) -> Tensor | None:
        """Position from -1 (first slice) to 1 (second), (N, 1, 1, 1); None is half-way."""
        if at is None or (isinstance(at, float) and at == 0.5):
            return None
        if not self.settings.positions:
            raise ValueError(f"This network computes the slice half-way only, not at {at}.")
        values = torch.as_tensor(at, dtype=torch.float32, device=device).reshape(-1, 1, 1, 1)
        return 2 * values - 1

    def base(self, before: Tensor, after: Tensor, at: At = None) -> Tensor:
        """What a residual network adds to: the mean of both, the nearer counting for more."""
        lean = self._lean(at, before.device)
        if lean is None:
            return (before + after) / 2
        return torch.lerp(before, after, (lean + 1) / 2)

    def forward(
        self, before: Tensor, after: Tensor, sampling: Sampling | None = None, at: At = None
    ) -> Tensor:
        """Interpolate.

        Parameters
        ----------
        before, after : Tensor, (N, 1, H, W)
        sampling : Sampling, optional
            Filled with the sampling points of every deformable convolution.
        at : float or Tensor (N,), optional
            Fraction of the way from `before` to `after`, 0 to 1; None is half-way.

        Returns
        -------
        Tensor, (N, 1, H, W)
            Not clamped.

        Raises
        ------
        ValueError
            If H or W is not a multiple of `settings.multiple`, or a position other than half-way
            is given to a network without `settings.positions`.
        """
        out = self.between(self.encode(before), self.encode(after), sampling, at)
        return out.float() + self.base(before, after, at) if self.settings.residual else out
