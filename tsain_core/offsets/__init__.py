"""Where a network sampled: at a query point, traced through its steps, and as maps."""

from ._maps import MapKind, MapPart, sampling_map
from ._points import QueryPoints, TapPoints
from ._probe import SamplingProbe
from ._trace import Reached, trace_steps

__all__ = [
    "MapKind",
    "MapPart",
    "QueryPoints",
    "Reached",
    "SamplingProbe",
    "TapPoints",
    "sampling_map",
    "trace_steps",
]
