"""The TSAIN network: `tsain.py` has it in the order of the paper."""

from .points import Sampling, SamplingPoints
from .settings import PRESETS, NetworkSettings
from .tsain import (
    DRB,
    RSAB,
    TSAIN,
    AdaptiveSampling,
    Alignment,
    At,
    Encoder,
    Features,
    PyramidLevel,
    Reconstruction,
    ResidualBlock,
    SideWeights,
    TemporalSampling,
    conv,
)

__all__ = [
    "DRB",
    "PRESETS",
    "RSAB",
    "TSAIN",
    "AdaptiveSampling",
    "Alignment",
    "At",
    "Encoder",
    "Features",
    "NetworkSettings",
    "PyramidLevel",
    "Reconstruction",
    "ResidualBlock",
    "Sampling",
    "SamplingPoints",
    "SideWeights",
    "TemporalSampling",
    "conv",
]
