"""Volumes larger than memory: block by block, resumable, in one process or on a Dask cluster.

`plan` decides how a volume is cut and what stays fixed; `stream` carries the plan out; `forecast`
says beforehand what it would take.
"""

from .events import BlockDone, BlockFailed, RunFinished, RunProgress, RunStarted, SlicesReady
from .executors import Cluster
from .plan import Given, RunPlan, StreamRequest
from .planning import make_plan
from .run import stream

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
    "StreamRequest",
    "make_plan",
    "stream",
]
