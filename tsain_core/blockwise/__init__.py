"""Volumes larger than memory: block by block, resumable, in one process or on a Dask cluster.

`plan` decides how a volume is cut and what stays fixed; `stream` carries the plan out; `forecast`
says beforehand what it would take.
"""

from .plan import Given, RunPlan, StreamRequest
from .planning import make_plan
from .run import Begun, BlockDone, BlockFailed, Cluster, Done, Progress, SlicesReady, stream

__all__ = [
    "Begun",
    "BlockDone",
    "BlockFailed",
    "Cluster",
    "Done",
    "Given",
    "Progress",
    "RunPlan",
    "SlicesReady",
    "StreamRequest",
    "make_plan",
    "stream",
]
