"""Volumes larger than memory: block by block, resumable, in one process or on a Dask cluster.

`make_plan` decides how a volume is cut and what stays fixed; `interpolate_blockwise` carries the
plan out; `forecast` says beforehand what it would take.
"""

from ..interpolation.request import Cluster, InterpolationRequest, RunPolicy
from .beside import Beside, BesideProgress
from .events import BlockDone, BlockFailed, RunFinished, RunProgress, RunStarted, SlicesReady
from .plan import Given, RunPlan
from .planning import make_plan
from .run import interpolate_blockwise

__all__ = [
    "Beside",
    "BesideProgress",
    "BlockDone",
    "BlockFailed",
    "Cluster",
    "Given",
    "InterpolationRequest",
    "RunFinished",
    "RunPlan",
    "RunPolicy",
    "RunProgress",
    "RunStarted",
    "SlicesReady",
    "make_plan",
    "interpolate_blockwise",
]
