"""Workers from SLURM, through dask-jobqueue:  python docs/cluster/slurm.py in.zarr out.zarr

Asks SLURM for workers, each with a GPU, and doubles a volume on them. Fit queue, account, memory
and time to your cluster. Killed or out of time, the same command goes on.
Needs `pip install 'napari-tsain[cluster]' dask-jobqueue`, on nodes that see the same folders.
"""

from __future__ import annotations

import sys

from dask_jobqueue import SLURMCluster

from tsain_core.blockwise import (
    BlockFailed,
    Cluster,
    InterpolationRequest,
    RunFinished,
    interpolate_blockwise,
)

WORKERS = 16


def main() -> None:
    """Start workers as SLURM grants them, and run."""
    source, output = sys.argv[1:3]
    with SLURMCluster(
        queue="gpu",
        account="lab",
        cores=4,
        processes=1,
        memory="32GB",
        walltime="08:00:00",
        job_extra_directives=["--gres=gpu:1"],
        worker_extra_args=["--nthreads", "1", "--lifetime", "7h45m", "--lifetime-stagger", "5m"],
    ) as cluster:
        cluster.adapt(minimum_jobs=0, maximum_jobs=WORKERS)
        workers = Cluster(address=cluster.scheduler_address)
        request = InterpolationRequest(source, output, memory=24 * 2**30, cluster=workers)
        for event in interpolate_blockwise(request):
            if isinstance(event, (BlockFailed, RunFinished)):
                print(event, flush=True)


if __name__ == "__main__":
    main()
