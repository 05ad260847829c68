"""Volumes larger than memory: block by block, resumable, in one process or on a Dask cluster.

`make_plan` decides how a volume is cut and what stays fixed; `interpolate_blockwise` carries the
plan out; `forecast` says beforehand what it would take.
"""

from .events import BlockDone, BlockFailed, RunFinished, RunProgress, RunStarted, SlicesReady
from .executors import Cluster
from .plan import BlockwiseRequest, Given, RunPlan
from .planning import make_plan
from .run import interpolate_blockwise

__all__ = [
    "BlockDone",
    "BlockFailed",
    "Cluster",
    "Given",
    "RunFinished",
    "RunPlan",
    "RunProgress",
    "RunStarted",
    "RunStarted",
    "SlicesReady",
    "BlockwiseRequest",
    "make_plan",
    "interpolate_blockwise",
]
